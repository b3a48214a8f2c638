import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kill, startEdges, versions, withFleet } from './harness.js';

describe('a version on trial', () => {
  const trial = { share: 0.34, waitSeconds: 60, tolerance: 1, hurtTolerance: 1 };

  test('a third of the edges gets it first; their reports let it go to all', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 2 }, canary: trial });
      await startEdges(fleet, 3);
      const started = await events.until('canary-started', (d) => d.version === 2);
      const [chosen] = started.data.edges as string[];
      assert.equal((started.data.edges as string[]).length, 1);
      const decided = await events.until('canary-decided', (d) => d.version === 2);
      assert.equal(decided.data.promoted, true);
      assert.equal(decided.data.reports, 1);
      // Whoever was not asked reports on it only once it was let go.
      const others = events.seen.filter(
        (e) => e.type === 'report' && e.data.version === 2 && e.data.event !== 'trained' && e.id < decided.id,
      );
      assert.deepEqual([...new Set(others.map((e) => e.data.edge))], [chosen]);
      await events.until('finished');
      assert.deepEqual(
        (await versions(fleet)).map((v) => v.state),
        ['current', 'current', 'current'],
      );
    }));

  test('edges that lose by it send it back: withdrawn, also across kill -9 of the cloud in the middle', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      // One edge of three tries it, two reports are wanted: at the end of the wait it is withdrawn.
      const settings = { rounds: { count: 1 }, canary: { share: 0.34, waitSeconds: 15, minReports: 2 } };
      const { events, child } = await fleet.cloud(settings);
      // The one that tries it is held before there is a version to try: its report is to meet the cloud that comes back.
      const [tries] = await Promise.all([fleet.edge(0), fleet.edge(1), fleet.edge(2, { power: { dutyCycle: 0.1 } })]);
      await events.until('accepted', (d) => d.edge === 'edge-0');
      tries.process.kill('SIGSTOP');
      const started = await events.until('canary-started');
      assert.deepEqual(started.data.edges, ['edge-0']);
      await kill(child);
      tries.process.kill('SIGCONT');
      const again = await fleet.cloud(settings);
      const { data } = await again.events.until('canary-decided');
      assert.equal(data.promoted, false);
      assert.match(String(data.reason), /1 of the 2 reports/);
      await again.events.until('finished');
      const all = await versions(fleet);
      assert.deepEqual(
        all.map((v) => [v.state, v.restores ?? 0]),
        [
          ['current', 0],
          ['withdrawn', 0],
          ['current', 1],
        ],
      );
      assert.equal(all[2]?.sha256, all[0]?.sha256);
      // The edge that tried it is back on the old weights, under their new number.
      for (const edge of ['edge-0', 'edge-1', 'edge-2'])
        await again.events.until('report', (d) => d.edge === edge && d.version === 3);
    }));
});
