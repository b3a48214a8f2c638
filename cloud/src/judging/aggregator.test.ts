import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { strategySchema } from '../aggregation/config.js';
import { acceptInto, artifact, state } from '../inbox/exampleUpdates.test.js';
import { RoundStore } from '../inbox/roundStore.js';
import { Slices } from '../inbox/slices.js';
import { Aggregator } from './aggregator.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-aggregator-'));
after(() => rmSync(root, { recursive: true }));

async function averageOf(store: RoundStore, folder: string, strategy: object = {}): Promise<Float32Array> {
  const config = { strategy: strategySchema.parse({ clip: 0, ...strategy }) };
  const aggregator = new Aggregator(config, folder, store.references, new Slices(artifact, config.strategy.combiner));
  return (await aggregator.aggregate(artifact, store.accepted)).weights;
}

describe('federated average', () => {
  test('weighs by samples and does not depend on the order of arrival', async () => {
    const averages: Float32Array[] = [];
    for (const order of [
      ['a', 'b', 'c'],
      ['c', 'a', 'b'],
    ]) {
      const store = await RoundStore.open(join(root, `average-${order.join('')}`));
      await store.save({ ...state, participants: [...order] });
      const by: Record<string, [number, number]> = { a: [1, 10], b: [-0.5, 30], c: [0.25, 60] };
      for (const edge of order) await acceptInto(store, edge, ...(by[edge] as [number, number]));
      averages.push(await averageOf(store, join(root, `average-${order.join('')}`)));
    }
    const [first, second] = averages as [Float32Array, Float32Array];
    assert.deepEqual(first, second);
    first.forEach((w, i) => {
      // 0.1 * 1 + 0.3 * -0.5 + 0.6 * 0.25 = 0.1
      assert.ok(Math.abs(w - (artifact.weights[i] as number) - 0.1) < 1e-6);
    });
  });
});

test('the server’s moments go from version to version, and those of others are dropped', async () => {
  const folder = join(root, 'moments');
  const store = await RoundStore.open(folder);
  await store.save(state);
  await acceptInto(store, 'a', 1, 10);
  const config = { strategy: strategySchema.parse({ server: { name: 'fedavgm', momentum: 0.5 } }) };
  const aggregator = new Aggregator(config, folder, store.references, new Slices(artifact, config.strategy.combiner));
  const once = async (): Promise<number> => {
    const { weights, state: moments } = await aggregator.aggregate(artifact, store.accepted);
    await aggregator.keep(artifact.sha256, moments);
    return (weights[0] as number) - (artifact.weights[0] as number);
  };
  const moved = [await once(), await once()];
  await aggregator.prune(['another']);
  moved.push(await once());
  // m = 1, then 0.5 * 1 + 1, and from the start again.
  [1, 1.5, 1].forEach((expected, i) => {
    assert.ok(Math.abs((moved[i] as number) - expected) < 1e-6, String(moved));
  });
});
