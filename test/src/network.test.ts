import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { checkInvariants, logOf } from './chain.js';
import { type Chaos, ChaosProxy } from './chaosProxy.js';
import { withFleet } from './harness.js';

const EDGES = ['edge-0', 'edge-1', 'edge-2'];

describe('a network that does not behave', () => {
  const networks: [string, Chaos][] = [
    ['slow and lossy', { delayMs: 30, loss: 0.05, stallMs: 400 }],
    ['breaks again and again, in the middle of packets', { breaks: 0.05 }],
    ['messages in another order, and twice', { shuffle: true }],
  ];
  for (const [name, chaos] of networks)
    test(name, () =>
      withFleet(EDGES.length, async (fleet) => {
        const broker = await fleet.broker();
        const proxy = await new ChaosProxy(Number(broker.ready.port), chaos, 7).start();
        try {
          const { events } = await fleet.cloud({
            model: { id: 'digits', architecture: 'cnn-small' },
            codec: { preset: 'lossless' },
            rounds: { count: 3, quorum: 1, deadlineSeconds: 60, pretrainEpochs: 1, epochs: 1 },
          });
          const transfer = { chunkBytes: 8192 };
          const url = proxy.url;
          for (const i of EDGES.keys())
            await fleet.edge(i, { broker: { url, reconnectSeconds: 0.2, keepaliveSeconds: 5, transfer } });
          await events.until('finished');
          const closed = events.seen.filter((e) => e.type === 'round-closed');
          assert.deepEqual(
            closed.map((e) => (e.data.accepted as string[]).length),
            [3, 3, 3],
          );
        } finally {
          await proxy.stop();
        }
        await fleet.processes.stop();
        checkInvariants(fleet, EDGES);
        const { stalled, broken, duplicated, reordered } = proxy.counts;
        assert.ok(stalled + broken + duplicated + reordered > 10, JSON.stringify(proxy.counts));
      }),
    );

  test('a gateway that is cut off for rounds, with its clock ten days ahead, catches up; its old update is not counted', () =>
    withFleet(EDGES.length, async (fleet) => {
      const broker = await fleet.broker();
      const proxy = await new ChaosProxy(Number(broker.ready.port), {}, 1).start();
      try {
        const { events } = await fleet.cloud({
          rounds: {
            count: 0,
            intervalSeconds: 1,
            minEdges: 2,
            quorum: 0.5,
            deadlineSeconds: 10,
            pretrainEpochs: 15,
            settleSeconds: 1,
          },
        });
        writeFileSync(
          join(fleet.folder, 'ahead.mjs'),
          'const now = Date.now; Date.now = () => now() + 10 * 86_400_000;\n',
        );
        process.env.NODE_OPTIONS = `--import ${join(fleet.folder, 'ahead.mjs')}`;
        try {
          await fleet.edge(2, {
            broker: { url: proxy.url, reconnectSeconds: 0.2, keepaliveSeconds: 1 },
            // Still at it when the network goes.
            power: { dutyCycle: 0.15 },
          });
        } finally {
          delete process.env.NODE_OPTIONS;
        }
        await fleet.edge(0);
        await fleet.edge(1);
        await events.until('round-opened');
        proxy.cut();
        await events.until('round-closed', (d) => d.round === 3);
        const missed = events.seen.filter(
          (e) => e.type === 'round-closed' && (e.data.accepted as string[]).includes('edge-2'),
        );
        assert.equal(missed.length, 0);
        // Its update of round 1 is in the outbox.
        await fleet.logged('edge-2', /"msg":"trained"/);
        proxy.heal();
        const back = await events.until(
          'round-closed',
          (d) => (d.round as number) > 3 && (d.accepted as string[]).includes('edge-2'),
        );
        assert.ok(back);
      } finally {
        await proxy.stop();
      }
      await fleet.processes.stop();
      checkInvariants(fleet, EDGES);
      assert.ok(logOf(fleet, 'edge-2').some((l) => l.msg === 'update rejected' && l.round === 1));
    }));
});
