import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  type Artifact,
  DataType,
  GraphBuilder,
  prepareArtifact,
  Random,
  updateArtifact,
  zooModel,
} from '@ecavg/models';
import { codec, decodeUpdate, type RoundMessage, Signer } from '@ecavg/protocol';
import { createLogger } from '@ecavg/runtime';
import { edgeConfigSchema } from '../config.js';
import { Governor } from '../power/governor.js';
import { openShard } from '../samples/openData.js';
import { EdgeStore } from '../uplink/edgeStore.js';
import { Learner } from './learner.js';
import { LocalTensors } from './localTensors.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-norm-'));
after(() => rmSync(root, { recursive: true }));

const SAMPLE = [2, 1024];

/** One hidden layer with batch normalisation: w1 [2048, 8], g, h, m, v [8], w2 [8, 4]. */
function normalised(): Promise<Artifact> {
  const b = new GraphBuilder();
  const random = new Random(1);
  const weights = (name: string, dims: [number, number]): string =>
    b.weights(
      name,
      dims,
      Float32Array.from({ length: dims[0] * dims[1] }, () => 0.03 * random.normal()),
    );
  const flat = b.op('Flatten', [b.input('x', DataType.FLOAT, ['N', ...SAMPLE])]);
  const vector = (name: string, v: number): string => b.weights(name, [8], new Float32Array(8).fill(v));
  const h = b.op('MatMul', [flat, weights('w1', [2048, 8])]);
  const n = b.op('BatchNormalization', [h, vector('g', 1), vector('h', 0), vector('m', 0), vector('v', 1)]);
  b.named('logits', 'MatMul', [b.op('Relu', [n]), weights('w2', [8, 4])]);
  b.output('logits', DataType.FLOAT, ['N', 4]);
  return prepareArtifact(b.model({ name: 'normalised' }), { loss: 'cross-entropy', batch: 16, sample: SAMPLE });
}

const NORM = ['g', 'h', 'm', 'v'];
const FEDBN = { localBatchNorm: true, localHead: false, localTensors: [] };
const part = ({ layout }: Artifact, flat: Float32Array, name: string): Float32Array => {
  const t = layout.tensors.find((each) => each.name === name);
  assert.ok(t);
  return flat.subarray(t.offset, t.offset + t.length);
};

describe('FedBN: batch normalisation that stays on the gateway', () => {
  test('a round’s update carries no normalisation, and the next model gets this gateway’s own, also after a restart', async () => {
    const artifact = await normalised();
    const folder = join(root, 'rounds');
    const config = edgeConfigSchema.parse({
      edge: 'e',
      model: 'm',
      dataDir: folder,
      data: { dataset: 'vibration' },
      train: { localBatchNorm: true },
    });
    const data = openShard(config);
    const log = createLogger('test', { level: 'silent', format: 'json' });
    const learner = new Learner({
      config,
      data,
      store: new EdgeStore(folder),
      signer: Signer.generate(),
      governor: new Governor(config.power, { dataDir: folder, log }),
      log,
    });
    const round = {
      round: 1,
      codec: { name: 'raw', options: {} },
      hyper: { epochs: 1, learningRate: 0.05, momentum: 0.9, seed: 1 },
    } as unknown as RoundMessage;
    await learner.consider(artifact);
    const { entry } = await learner.train({
      artifact,
      round,
      memory: async () => ({}),
      budget: () => undefined,
      signal: new AbortController().signal,
    });
    const { payload } = decodeUpdate(entry.blob);
    const delta = new Float32Array(artifact.layout.total);
    codec('raw').accumulate(payload, artifact.layout, 1, delta);
    for (const name of NORM)
      assert.ok(
        part(artifact, delta, name).every((v) => v === 0),
        name,
      );
    assert.ok(part(artifact, delta, 'w1').some((v) => v !== 0));

    const next = updateArtifact(
      artifact,
      artifact.weights.map((w) => w * 0.5),
    );
    const norm = await LocalTensors.open(new EdgeStore(folder), next, FEDBN);
    const applied = norm.apply(next.weights);
    assert.deepEqual(part(next, applied, 'w1'), part(next, next.weights, 'w1'));
    for (const name of NORM) assert.notDeepEqual(part(next, applied, name), part(next, next.weights, name), name);
    // The statistics are those of this gateway's own activations, no longer the initial 0 and 1.
    assert.ok(part(next, applied, 'v').every((v) => v > 0));
    assert.ok(
      next.weights.every((w, i) => w === (artifact.weights[i] as number) * 0.5),
      'the model is untouched',
    );
    await learner.release();
  });

  test('another layout, a damaged file and a model without normalisation start afresh', async () => {
    const artifact = await normalised();
    const folder = join(root, 'afresh');
    const store = new EdgeStore(folder);
    const norm = await LocalTensors.open(store, artifact, FEDBN);
    assert.equal(norm.apply(artifact.weights), artifact.weights);
    await norm.keep(artifact.weights.map((w) => w + 1));
    assert.notEqual((await LocalTensors.open(store, artifact, FEDBN)).apply(artifact.weights), artifact.weights);
    assert.equal(await store.localTensors('another layout'), undefined);
    for (const damage of [Buffer.from('x'), Buffer.alloc(0)]) {
      writeFileSync(join(folder, 'local-tensors'), damage);
      assert.equal((await LocalTensors.open(store, artifact, FEDBN)).apply(artifact.weights), artifact.weights);
    }
    const plain = await prepareArtifact(zooModel('mlp', { input: [4], classes: 2, seed: 1 }), {
      loss: 'cross-entropy',
      batch: 2,
      sample: [4],
    });
    assert.equal((await LocalTensors.open(store, plain, FEDBN)).empty, true);
  });
});
