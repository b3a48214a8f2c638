import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Random } from '@ecavg/models';
import { checkInvariants } from './chain.js';
import { kill, type TestFleet, type Watcher, withFleet } from './harness.js';

describe('a full disk, and a damaged one', () => {
  const mounted = (folder: string, size: string): boolean => {
    mkdirSync(folder, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', folder], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const fill = (folder: string): string => {
    const { bavail, bsize } = statfsSync(folder);
    const file = join(folder, 'filler');
    try {
      writeFileSync(file, Buffer.alloc(Number(bavail) * bsize));
    } catch (error) {
      // The daemon wrote something meanwhile: it is as full.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
    return file;
  };

  /** A fleet of two, one of whose daemons has a small disk, which is full from the first round on until `noticed`. */
  const fullFor = (
    context: { skip(why: string): void },
    { name, size, pretrainEpochs }: { name: string; size: string; pretrainEpochs: number },
    noticed: (fleet: TestFleet, events: Watcher) => Promise<unknown>,
  ): Promise<void> =>
    withFleet(2, async (fleet) => {
      const folder = join(fleet.folder, name);
      if (!mounted(folder, size)) return context.skip('a file system of its own takes root');
      try {
        await fleet.broker();
        const { events } = await fleet.cloud({
          rounds: { count: 2, quorum: 1, deadlineSeconds: 60, pretrainEpochs, settleSeconds: 1 },
        });
        await fleet.edge(0);
        await fleet.edge(1);
        await events.until('round-opened');
        const filler = fill(folder);
        await noticed(fleet, events);
        rmSync(filler);
        await events.until('finished');
        await fleet.processes.stop();
        assert.equal(checkInvariants(fleet, ['edge-0', 'edge-1']).updates, 4);
      } finally {
        await fleet.processes.stop();
        execFileSync('umount', [folder]);
      }
    });

  test('the cloud’s disk is full for a while: updates wait, nothing is lost', (context) =>
    fullFor(context, { name: 'cloud', size: '16m', pretrainEpochs: 5 }, (_, events) =>
      events.until('rejected', (d) => d.reason === 'storage'),
    ));

  test('a gateway’s disk is full for a while: it takes part again when there is room', (context) =>
    fullFor(context, { name: 'edge-0', size: '8m', pretrainEpochs: 20 }, (fleet) =>
      fleet.logged('edge-0', /ENOSPC|no space left/i),
    ));

  test('every file of a gateway but its key is garbage: it starts, says so, and takes part', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 3, quorum: 1, deadlineSeconds: 60, pretrainEpochs: 1 } });
      const gateway = await fleet.edge(0);
      await fleet.edge(1);
      await events.until('round-closed');
      await kill(gateway);
      const folder = join(fleet.folder, 'edge-0');
      const random = new Random(1, 'garbage');
      const spoilt: string[] = [];
      for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
        if (!entry.isFile() || /key|trust|session/.test(entry.name)) continue;
        const file = join(entry.parentPath ?? entry.path, entry.name);
        const { length } = readFileSync(file);
        writeFileSync(
          file,
          Uint8Array.from({ length }, () => random.int(256)),
        );
        spoilt.push(entry.name);
      }
      assert.ok(spoilt.length >= 4, spoilt.join());
      await fleet.edge(0);
      await events.until('finished');
      await fleet.processes.stop();
      checkInvariants(fleet, ['edge-0', 'edge-1']);
    }));

  test('a damaged version stops the cloud with a word on what to do', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const { child, events } = await fleet.cloud({ rounds: { count: 1, pretrainEpochs: 1 } });
      await fleet.edge(0);
      await events.until('finished');
      const { versions } = await fleet.state();
      await kill(child);
      const newest = versions.at(-1)?.sha256 ?? '';
      const folder = join(fleet.folder, 'cloud', 'models', 'digits');
      const file = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((f) => f.includes(newest)) ?? '';
      const bytes = readFileSync(join(folder, file));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      writeFileSync(join(folder, file), bytes);
      await assert.rejects(fleet.cloud({}), /damaged/);
    }));
});
