import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kill, type TestFleet, withFleet } from './harness.js';
import { outboxId } from './outbox.js';

/** Training that is still going on when a process is killed. */
const LONG = 60;

const startEdges = (fleet: TestFleet, n: number) => Promise.all([...Array(n).keys()].map((i) => fleet.edge(i)));

describe('the daemons as processes', () => {
  test('a round runs, versions form a chain, every edge takes the result', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 2 } });
      await startEdges(fleet, 2);
      await events.until('finished');
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => (e.data.accepted as string[]).sort()),
        [
          ['edge-0', 'edge-1'],
          ['edge-0', 'edge-1'],
        ],
      );
      const { versions } = await fleet.state();
      assert.deepEqual(
        versions.map((v) => [v.version, v.round]),
        [
          [1, 0],
          [2, 1],
          [3, 2],
        ],
      );
      versions.slice(1).forEach((v, i) => {
        assert.equal(v.parent, versions[i]?.sha256);
      });
      for (const edge of ['edge-0', 'edge-1']) {
        const report = events.seen.findLast(
          (e) => e.type === 'report' && e.data.edge === edge && e.data.event === 'adopted',
        );
        assert.equal(report?.data.version, 3);
      }
    }));

  test('another strategy: label divergence, trimmed mean, FedAdam', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({
        strategy: {
          weighting: ['feddisco', 'reliability'],
          combiner: 'trimmed-mean',
          trim: 0.34,
          server: { name: 'fedadam', learningRate: 0.01 },
        },
        rounds: { count: 3 },
      });
      await Promise.all([0, 1, 2].map((i) => fleet.edge(i, { share: { labels: true, labelNoise: 1 } })));
      await events.until('finished');
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => [e.data.combiner, (e.data.accepted as string[]).length]),
        Array(3).fill(['trimmed-mean', 3]),
      );
      assert.ok((closed.at(-1)?.data.average as number) > 0.5, JSON.stringify(closed.at(-1)?.data));
    }));

  test('kill -9 of an edge in mid-round: the round closes by quorum with the others', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { quorum: 0.6, deadlineSeconds: 90, pretrainEpochs: LONG } });
      const [victim] = await startEdges(fleet, 3);
      assert.ok(victim);
      await events.until('round-opened');
      await kill(victim);
      await events.until('edge', (d) => d.edge === 'edge-0' && d.online === false);
      const { data } = await events.until('round-closed');
      assert.deepEqual((data.accepted as string[]).sort(), ['edge-1', 'edge-2']);
      assert.deepEqual((data.participants as string[]).length, 3);
      assert.ok((data.seconds as number) < 60, 'it did not wait for the deadline');
      assert.equal((await fleet.state()).versions.length, 2);
    }));

  test('an edge that hangs: the round closes at the deadline', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { quorum: 0.6, deadlineSeconds: 12, pretrainEpochs: LONG } });
      const [victim] = await startEdges(fleet, 3);
      await events.until('round-opened');
      victim?.process.kill('SIGSTOP');
      const { data } = await events.until('round-closed');
      victim?.process.kill('SIGKILL');
      assert.deepEqual((data.accepted as string[]).sort(), ['edge-1', 'edge-2']);
      assert.ok((data.seconds as number) >= 12, String(data.seconds));
    }));

  test('no quorum at the deadline: the round stays open and keeps what it has', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { quorum: 1, deadlineSeconds: 4, pretrainEpochs: LONG } });
      const [victim] = await startEdges(fleet, 2);
      assert.ok(victim);
      await events.until('round-opened');
      await kill(victim);
      await events.until('accepted', (d) => d.edge === 'edge-1');
      await events.until('deadline-extended');
      await fleet.edge(0);
      const { data } = await events.until('round-closed');
      assert.deepEqual((data.accepted as string[]).sort(), ['edge-0', 'edge-1']);
    }));

  test('kill -9 of the cloud in mid-round: it goes on with what it had accepted', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const settings = { rounds: { quorum: 1, deadlineSeconds: 60, pretrainEpochs: 20 } };
      const { child, events } = await fleet.cloud(settings);
      // One edge answers; the other comes only after the crash.
      const first = fleet.edge(0);
      await first;
      const late = fleet.edge(1);
      await events.until('accepted');
      const before = events.seen.filter((e) => e.type === 'accepted').map((e) => e.data.edge);
      await kill(child);
      const again = await fleet.cloud(settings);
      await late;
      const { data } = await again.events.until('round-closed');
      assert.equal(data.round, 1);
      assert.deepEqual((data.accepted as string[]).sort(), ['edge-0', 'edge-1']);
      for (const edge of before) {
        assert.ok(
          !again.events.seen.some((e) => e.type === 'accepted' && e.data.edge === edge),
          `${edge} was counted twice`,
        );
      }
      assert.equal((await fleet.state()).versions.length, 2);
    }));

  test('kill -9 of the cloud while it closes a round: the round is closed once, with every update', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      // Long enough to be killed in the middle of it.
      const settings = { rounds: { quorum: 1, deadlineSeconds: 60 }, fineTune: { epochs: 400 } };
      const { child, events } = await fleet.cloud(settings);
      await startEdges(fleet, 2);
      await events.until('accepted', (d) => d.edge === 'edge-0');
      await events.until('accepted', (d) => d.edge === 'edge-1');
      await fleet.phase('closing');
      await kill(child);
      const again = await fleet.cloud({ ...settings, fineTune: { epochs: 1 } });
      const { data } = await again.events.until('round-closed');
      assert.deepEqual([data.round, (data.accepted as string[]).sort()], [1, ['edge-0', 'edge-1']]);
      assert.ok(!again.events.seen.some((e) => e.type === 'accepted'), 'an update was counted twice');
      assert.equal((await fleet.state()).versions.length, 2);
    }));

  test('kill -9 of the broker in mid-round: everyone comes back and the round ends', () =>
    withFleet(2, async (fleet) => {
      const broker = await fleet.broker();
      const { events } = await fleet.cloud({
        rounds: { count: 2, quorum: 1, deadlineSeconds: 60, pretrainEpochs: 20 },
      });
      await startEdges(fleet, 2);
      await events.until('round-opened');
      await kill(broker);
      await fleet.broker(Number(broker.ready.port));
      await events.until('finished');
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => (e.data.accepted as string[]).length),
        [2, 2],
      );
    }));

  test('kill -9 of an edge with an update in its outbox: it sends that update, and no other', () =>
    withFleet(2, async (fleet) => {
      const broker = await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { quorum: 1, deadlineSeconds: 90, pretrainEpochs: 30 } });
      const [edge] = await startEdges(fleet, 2);
      assert.ok(edge);
      await events.until('round-opened');
      for (const name of ['edge-0', 'edge-1']) await events.until('report', (d) => d.edge === name);
      // Without a broker the updates stay in the outboxes.
      await kill(broker);
      const id = await outboxId(`${fleet.folder}/edge-0`);
      await kill(edge);
      await fleet.broker(Number(broker.ready.port));
      await fleet.edge(0);
      const { data } = await events.until('round-closed');
      assert.deepEqual((data.accepted as string[]).sort(), ['edge-0', 'edge-1']);
      assert.equal(await outboxId(`${fleet.folder}/edge-0`, true), undefined);
      assert.match(id ?? '', /^[0-9a-f]{64}$/);
      const trained = events.seen.filter(
        (e) => e.type === 'report' && e.data.edge === 'edge-0' && e.data.event === 'trained',
      );
      assert.ok(trained.length <= 1);
    }));
});
