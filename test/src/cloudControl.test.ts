import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { kill, MODEL, type ShownVersion, startEdges, versions, withFleet } from './harness.js';

describe('which version is in force', () => {
  test('roll back, pin, unpin and history from the command line, with a round open and edges that follow', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const { events, child } = await fleet.cloud({ rounds: { count: 8, quorum: 1, epochs: 2, deadlineSeconds: 120 } });
      const edges = await startEdges(fleet, 2);
      const all = (signal: 'SIGSTOP' | 'SIGCONT'): void => {
        for (const { process } of edges) process.kill(signal);
      };
      await events.until('round-closed', (d) => d.round === 2);
      await events.until('round-opened', (d) => d.round === 3);
      // Nobody goes on until the command has come.
      all('SIGSTOP');
      const before = await versions(fleet);
      assert.match(await fleet.cloudCommand('rollback', '--to', '2'), /with the weights of version 2, is in force/);
      const restored = await events.until('restored');
      all('SIGCONT');
      for (const edge of ['edge-0', 'edge-1'])
        await events.until('report', (d) => d.edge === edge && d.version === restored.data.version);
      all('SIGSTOP');
      const after = await versions(fleet);
      const back = after.find((v) => v.version === restored.data.version);
      assert.equal(back?.sha256, before.find((v) => v.version === 2)?.sha256);
      assert.equal(back?.restores, 2);

      assert.match(await fleet.cloudCommand('pin', '--to', '1'), /is in force and pinned/);
      await events.until('pinned');
      const pinned = (await fleet.state()).pinned as number;
      assert.equal((await versions(fleet)).find((v) => v.version === pinned)?.sha256, before[0]?.sha256);
      // Pinned survives a crash: no round opens, the version stays.
      await kill(child);
      const again = await fleet.cloud({ rounds: { count: 8, quorum: 1, epochs: 2, deadlineSeconds: 120 } });
      assert.equal((await fleet.state()).pinned, pinned);
      const history = await fleet.cloudCommand('history');
      assert.match(history, /in force, pinned, weights of version 1/);
      const index = JSON.parse(await fleet.cloudCommand('history', '--json')) as { versions: ShownVersion[] };
      assert.deepEqual(
        index.versions.map((v) => v.version),
        index.versions.map((_, i) => i + 1),
      );
      await assert.rejects(fleet.cloudCommand('rollback', '--to', '99'), /there is no version 99/);
      assert.match(await fleet.cloudCommand('unpin'), /rounds go on/);
      all('SIGCONT');
      await again.events.until('finished');
      const at = (type: string): number => again.events.seen.findIndex((e) => e.type === type);
      assert.ok(at('pinned') < at('round-opened'), 'a round opened while the version was pinned');
    }));

  test('a command that finds no cloud running is kept, and carried out at the next start', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const settings = { rounds: { count: 1 } };
      const { events, child } = await fleet.cloud(settings);
      await fleet.edge(0);
      await events.until('finished');
      await kill(child);
      await assert.rejects(fleet.cloudCommand('rollback', '--wait', '1'), /the command is kept/);
      const again = await fleet.cloud(settings);
      const { data } = await again.events.until('restored');
      assert.equal(data.restores, 1);
    }));
});

describe('who trains, and when', () => {
  test('random selection with over-selection: the wanted number closes the round, the others do not train', () =>
    withFleet(5, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({
        rounds: { count: 3, pretrainEpochs: 1 },
        selection: { policy: 'random', count: 2, overSelect: 1.5 },
      });
      await startEdges(fleet, 5);
      await events.until('finished');
      const opened = events.seen.filter((e) => e.type === 'round-opened');
      const asked = new Map(opened.map((e) => [e.data.round, e.data.participants as string[]]));
      for (const [, edges] of asked) assert.equal(edges.length, 3);
      for (const closed of events.seen.filter((e) => e.type === 'round-closed')) {
        const accepted = closed.data.accepted as string[];
        assert.ok(accepted.length >= 2 && accepted.length <= 3, String(accepted));
        assert.ok(accepted.every((e) => asked.get(closed.data.round)?.includes(e)));
      }
      for (const e of events.seen.filter((e) => e.type === 'report' && e.data.event === 'trained'))
        assert.ok(asked.get(e.data.round)?.includes(String(e.data.edge)), JSON.stringify(e.data));
    }));

  test('asynchronous: a slow edge’s late update counts in a later version, weighed by its staleness', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      // The one that sleeps sends no reports, and the broker may take it for gone: nobody waits for it.
      const quick = { minEdges: 2, settleSeconds: 1, pretrainEpochs: 1, epochs: 1, deadlineSeconds: 60 };
      const settings = {
        rounds: { count: 6, mode: 'async', buffer: 2, ...quick },
        strategy: { weighting: ['samples', 'staleness-polynomial'] },
      };
      const { events, child } = await fleet.cloud(settings);
      const [slow, , quickest] = await startEdges(fleet, 3);
      assert.ok(slow && quickest);
      // It sleeps while the others make versions, then wakes up in the middle of its old round.
      await events.until('round-opened', (d) => d.round === 1);
      slow.process.kill('SIGSTOP');
      await events.until('round-closed', (d) => d.round === 2);
      // And the cloud is killed meanwhile: its buffer stays.
      await kill(child);
      // Without one of the others, two updates take the slow one's, however fast the third is.
      quickest.process.kill('SIGSTOP');
      const again = await fleet.cloud(settings);
      slow.process.kill('SIGCONT');
      await again.events.until('finished');
      quickest.process.kill('SIGCONT');
      const closed = again.events.seen.filter((e) => e.type === 'round-closed');
      assert.ok(
        closed.some((e) => (e.data.accepted as string[]).includes('edge-0')),
        JSON.stringify(closed.map((e) => e.data.accepted)),
      );
      for (const e of closed) assert.ok((e.data.accepted as string[]).length >= 2);
    }));
});

describe('unlike gateways', () => {
  test('a weak gateway trains half the width beside whole ones; each keeps a head of its own or blends', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 3 } });
      await Promise.all([
        fleet.edge(0, { train: { width: 0.5 } }),
        fleet.edge(1, { train: { localHead: true }, adopt: { fineTune: { epochs: 1 } } }),
        fleet.edge(2, { adopt: { policy: 'blend' } }),
      ]);
      await events.until('finished');
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => (e.data.accepted as string[]).length),
        [3, 3, 3],
      );
      assert.ok((closed.at(-1)?.data.accuracy as number) > 0.8, JSON.stringify(closed.at(-1)?.data));
      const bytes = (edge: string): number =>
        events.seen
          .filter((e) => e.type === 'accepted' && e.data.edge === edge)
          .reduce((sum, e) => sum + (e.data.bytes as number), 0);
      assert.ok(bytes('edge-0') < 0.75 * bytes('edge-2'), `${bytes('edge-0')} ${bytes('edge-2')}`);
      const last = (edge: string) =>
        events.seen.findLast((e) => e.type === 'report' && e.data.edge === edge && e.data.event !== 'trained')?.data
          .values as Record<string, number>;
      const blended = last('edge-2');
      assert.ok((blended.valServing as number) >= Math.max(blended.valBefore ?? 0, blended.valAfter ?? 0));
      assert.ok(blended.lambda !== undefined && last('edge-1').valTuned !== undefined);
    }));

  test('samples and activations are shared by who opted in, and by nobody else', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({
        rounds: { count: 2, pretrainEpochs: 1 },
        fineTune: { samples: 40, features: { samples: 60 }, epochs: 1 },
      });
      await Promise.all([
        fleet.edge(0, { share: { samples: 25 } }),
        fleet.edge(1, { share: { features: 1000 } }),
        fleet.edge(2),
      ]);
      await events.until('finished');
      const shared = events.seen.filter((e) => e.type === 'shared').map((e) => e.data.edge);
      // Samples once; activations of each version.
      assert.equal(shared.filter((e) => e === 'edge-0').length, 1);
      assert.ok(shared.filter((e) => e === 'edge-1').length >= 2, String(shared));
      assert.ok(!shared.includes('edge-2'));
      const calibrated = events.seen.filter((e) => e.type === 'calibrated');
      assert.equal(calibrated.length, 2);
      for (const e of calibrated) assert.deepEqual(e.data.edges, ['edge-1']);
      const made = (await versions(fleet)) as (ShownVersion & { metrics: Record<string, number> })[];
      assert.equal(
        made.filter((v) => v.metrics.calibrated === 1).length,
        calibrated.filter((e) => e.data.better).length,
      );
    }));
});

test('two models and two fleets in one cloud, each with its own edges, versions and keys', () =>
  withFleet(2, async (fleet) => {
    await fleet.broker();
    const vibration = { dataset: 'vibration', gateways: 2, partition: 'by-site', seed: 1 };
    const { events } = await fleet.cloud({
      rounds: { count: 1, minEdges: 1, pretrainEpochs: 1 },
      models: [
        { model: { id: MODEL } },
        { model: { id: 'bearings', architecture: 'sensor-cnn1d' }, data: vibration },
        { fleet: 'other', model: { id: MODEL } },
      ],
    });
    await Promise.all([
      fleet.edge(0),
      fleet.daemon('edge-b', 'edge', {
        fleet: 'plant',
        edge: 'bearing-1',
        model: 'bearings',
        dataDir: join(fleet.folder, 'bearing-1'),
        broker: { url: fleet.brokerUrl },
        data: vibration,
      }),
      fleet.edge(1, { fleet: 'other' }),
    ]);
    await events.until('finished');
    const list = (await (await fetch(`${fleet.dashboard}/api/v1/models`)).json()) as { fleet: string; model: string }[];
    assert.deepEqual(
      list.map((m) => `${m.fleet}/${m.model}`),
      ['plant/digits', 'plant/bearings', 'other/digits'],
    );
    for (const [query, edge] of [
      ['fleet=plant&model=bearings', 'bearing-1'],
      ['fleet=other', 'edge-1'],
    ] as const) {
      const stream = await fetch(`${fleet.dashboard}/api/v1/events?${query}`);
      const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('"type":"finished"')) text += (await reader?.read())?.value ?? '';
      await reader?.cancel();
      const state = (await (await fetch(`${fleet.dashboard}/api/v1/state?${query}`)).json()) as {
        members: { edge: string }[];
        versions: ShownVersion[];
      };
      assert.deepEqual(
        state.members.map((m) => m.edge),
        [edge],
      );
      assert.equal(state.versions.length, 2);
    }
    assert.equal((await fetch(`${fleet.dashboard}/api/v1/state?model=none`)).status, 404);
    assert.deepEqual((await fleet.state()).wire.rejected, {});
  }));
