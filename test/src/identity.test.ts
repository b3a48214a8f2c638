import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ECAVG, kill, withFleet } from './harness.js';

const cli = (...args: string[]): string => execFileSync(process.execPath, [ECAVG, ...args], { encoding: 'utf8' });

describe('who is who', () => {
  test('with enrolment by token, an update waits until its edge has shown one', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({
        enrolment: { mode: 'token' },
        rounds: { quorum: 1, deadlineSeconds: 90, pretrainEpochs: 1 },
      });
      const config = join(fleet.folder, 'cloud.yaml');
      const first = await fleet.edge(0);
      await events.until('rejected', (d) => d.reason === 'unknown-edge' && d.edge === 'edge-0');
      assert.equal(cli('cloud', 'edges', '--config', config), '');

      const tokenFile = join(fleet.folder, 'token.txt');
      writeFileSync(tokenFile, cli('cloud', 'token', '--config', config, '--edge', 'edge-0', '--valid', '1h'));
      await kill(first);
      await fleet.edge(0, { trust: { tokenFile } });
      // The update from before is in the outbox, and is taken now.
      const { data } = await events.until('round-closed');
      assert.deepEqual(data.accepted, ['edge-0']);
      const listed = cli('cloud', 'edges', '--config', config);
      assert.match(listed, /^edge-0 {2}[0-9a-f]{64} {2}token {2}/);
    }));

  test('an edge with another key is refused; once forgotten, its new key is taken', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({
        rounds: { count: 2, quorum: 1, deadlineSeconds: 90, pretrainEpochs: 1, epochs: 1 },
      });
      const edge = await fleet.edge(0);
      await events.until('accepted');
      await kill(edge);
      // Set up anew: no key, no memory.
      rmSync(join(fleet.folder, 'edge-0'), { recursive: true });
      await fleet.edge(0);
      await events.until('rejected', (d) => d.reason === 'bad-signature');
      cli('cloud', 'revoke', '--config', join(fleet.folder, 'cloud.yaml'), '--edge', 'edge-0', '--forget');
      await events.until('finished');
    }));

  test('an edge follows no cloud but its own', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const settings = { rounds: { count: 1, quorum: 1, deadlineSeconds: 60, pretrainEpochs: 1 } };
      const { child, events } = await fleet.cloud(settings);
      await fleet.edge(0);
      await events.until('finished');
      await kill(child);
      rmSync(join(fleet.folder, 'cloud'), { recursive: true });
      // An impostor, or a cloud that lost its disk: another key, the same topics.
      const impostor = await fleet.cloud(settings);
      await impostor.events.until('round-opened');
      await fleet.logged('edge-0', /this edge trusts/);
      assert.ok(!impostor.events.seen.some((e) => e.type === 'accepted'));
    }));

  test('a cloud that lost what it knew of earlier updates gets the same update again, without reference', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const settings = { rounds: { count: 2, quorum: 1, deadlineSeconds: 90, pretrainEpochs: 1, epochs: 30 } };
      const { child, events } = await fleet.cloud(settings);
      await fleet.edge(0);
      await events.until('round-opened', (d) => d.round === 2);
      await kill(child);
      rmSync(join(fleet.folder, 'cloud', 'rounds', 'digits', 'references'), { recursive: true });
      const again = await fleet.cloud(settings);
      await again.events.until('finished');
      const refused = again.events.seen.filter((e) => e.type === 'rejected');
      assert.deepEqual(
        refused.map((e) => e.data.reason),
        ['reference-mismatch'],
      );
      assert.equal((await fleet.state()).versions.length, 3);
    }));
});
