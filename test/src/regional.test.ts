import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { extractWeights, parseModel, prepareArtifact, zooModel } from '@ecavg/models';
import { FLEET, kill, MODEL, withFleet as shared, TestFleet } from './harness.js';

const REGIONS = ['north', 'south'];

async function withFleet<T>(body: (fleet: TestFleet) => Promise<T>): Promise<T> {
  const fleet = new TestFleet(4);
  try {
    return await body(fleet);
  } finally {
    await fleet.stop();
  }
}

/** Nothing between the sum of the updates and the version: no fine-tuning, no clipping, nothing lost in coding. */
const EXACT = {
  fineTune: { epochs: 0 },
  strategy: { clip: 0 },
  publish: { difference: 'lossless' },
  codec: { preset: 'fine' },
};

const region = (fleet: TestFleet, name: string, rounds: object = {}) =>
  fleet.daemon(name, 'cloud', {
    role: 'regional',
    fleet: name,
    dataDir: join(fleet.folder, name),
    broker: { url: fleet.brokerUrl, reconnectSeconds: 0.2 },
    model: { id: MODEL },
    upstream: { fleet: FLEET, name, broker: { url: fleet.brokerUrl, reconnectSeconds: 0.2 }, resendSeconds: 1 },
    rounds: { minEdges: 2, ...rounds },
  });

const edgesOf = (fleet: TestFleet, name: string) =>
  [0, 1].map((i) => fleet.edge(2 * REGIONS.indexOf(name) + i, { fleet: name }));

/** The weights of a version, from the cloud's HTTP. */
async function weightsOf(fleet: TestFleet, version: number): Promise<Float32Array> {
  const response = await fetch(`${fleet.dashboard}/api/v1/versions/${version}/model.onnx`);
  const model = parseModel(new Uint8Array(await response.arrayBuffer()));
  const zoo = zooModel('mlp', { input: [1, 28, 28], classes: 10, seed: 1 });
  const { layout } = await prepareArtifact(zoo, { loss: 'cross-entropy', batch: 32, sample: [1, 28, 28] });
  return extractWeights(model, layout);
}

describe('regional aggregators', () => {
  test('two regions of two edges make the version that one aggregator of four makes', async () => {
    const direct = await withFleet(async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 1, quorum: 1 }, ...EXACT });
      await Promise.all([0, 1, 2, 3].map((i) => fleet.edge(i)));
      await events.until('finished');
      return weightsOf(fleet, 2);
    });
    await withFleet(async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 1, quorum: 1, minEdges: 2 }, ...EXACT });
      await Promise.all(REGIONS.map((name) => region(fleet, name)));
      await Promise.all(REGIONS.flatMap((name) => edgesOf(fleet, name)));
      const { data } = await events.until('round-closed');
      assert.deepEqual((data.accepted as string[]).sort(), REGIONS);
      // Every region reports for its edges.
      for (const name of REGIONS) {
        const report = await events.until('report', (d) => d.edge === name && d.version === 2);
        assert.equal((report.data.values as Record<string, number>).edges, 2);
      }
      const regional = await weightsOf(fleet, 2);
      let [largest, moved] = [0, 0];
      for (const [i, w] of direct.entries()) {
        largest = Math.max(largest, Math.abs(w - (regional[i] as number)));
        moved = Math.max(moved, Math.abs(w));
      }
      assert.ok(largest < 1e-5 && moved > 0.1, `${largest} of ${moved}`);
    });
  });

  test('kill -9 of a region in mid-round: its edges’ updates are there when it comes back, and count once', () =>
    shared(4, async (fleet) => {
      await fleet.broker();
      const rounds = { count: 2, quorum: 1, minEdges: 2, deadlineSeconds: 60 };
      const { events } = await fleet.cloud({ rounds, ...EXACT });
      const [north] = await Promise.all(REGIONS.map((name) => region(fleet, name)));
      assert.ok(north);
      await Promise.all(REGIONS.flatMap((name) => edgesOf(fleet, name)));
      await events.until('accepted', (d) => d.edge === 'south');
      await kill(north);
      await region(fleet, 'north');
      await events.until('finished');
      for (const e of events.seen.filter((e) => e.type === 'round-closed'))
        assert.deepEqual((e.data.accepted as string[]).sort(), REGIONS);
      const north2 = events.seen.filter((e) => e.type === 'accepted' && e.data.edge === 'north');
      for (const e of north2) assert.equal((e.data.metrics as Record<string, number>).edges, 2);
      assert.equal(north2.length, 2);
    }));
});
