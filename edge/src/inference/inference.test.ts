import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  type Artifact,
  createTrainer,
  Evaluator,
  everything,
  meanSquares,
  prepareArtifact,
  Random,
  rowsData,
  updateArtifact,
  type View,
  zooModel,
} from '@ecavg/models';
import { decodeMessage, encodeMessage, Topics } from '@ecavg/protocol';
import { createLogger } from '@ecavg/runtime';
import fc from 'fast-check';
import type { Servable } from '../learning/servable.js';
import { inferSchema } from './config.js';
import { InferenceEndpoint } from './endpoint.js';
import { InferenceService } from './service.js';
import { conformalThreshold } from './threshold.js';

const log = createLogger('test', { level: 'silent', format: 'json' });
const SHAPE = [1, 16];

/** Sines of any phase: what is usual. */
function waves(count: number, seed: number, frequency = 1): View {
  const random = new Random(seed, 'waves');
  const values = new Float32Array(count * 16);
  for (let i = 0; i < count; i++) {
    const phase = random.range(0, 2 * Math.PI);
    for (let t = 0; t < 16; t++)
      values[i * 16 + t] = Math.sin((2 * Math.PI * frequency * t) / 16 + phase) + 0.05 * random.normal();
  }
  return everything(rowsData({ name: 'waves', shape: SHAPE, classes: [], values, labels: new Int32Array(count) }));
}

const row = (view: View, i: number): Float32Array => {
  const x = new Float32Array(16);
  view.data.read(i, x, 0);
  return x;
};

describe('the inference service', () => {
  let artifact: Artifact;
  let trained: Float32Array;
  const servable = (weights: Float32Array, version: number): Servable => ({
    onnx: updateArtifact(artifact, weights).infer,
    loss: 'mse',
    shape: SHAPE,
    version,
    own: false,
  });

  before(async () => {
    const model = zooModel('sensor-autoencoder', { input: SHAPE, classes: 0, seed: 1 });
    artifact = await prepareArtifact(model, { loss: 'mse', batch: 32, sample: SHAPE, optimizer: { type: 'adamw' } });
    const trainer = await createTrainer(artifact);
    trainer.setWeights(artifact.weights);
    await trainer.train(waves(512, 1), { epochs: 60, learningRate: 0.01, momentum: 0, seed: 1 });
    trained = trainer.getWeights();
    await trainer.release();
  });

  test('scores are those of the evaluator; alarms on usual samples keep to the rate, others are found', async () => {
    const service = new InferenceService(inferSchema.parse({ falseAlarmRate: 0.05 }), log);
    await service.use(servable(trained, 3), waves(400, 2));
    const evaluator = await Evaluator.create(artifact.model, artifact.layout, 1, 'mse');
    const usual = waves(1000, 3);
    const rebuilt = await evaluator.outputs(trained, usual);
    await evaluator.release();
    const answers = await Promise.all([...usual.indices].map((i) => service.ask(row(usual, i))));
    let alarms = 0;
    for (const [i, outcome] of answers.entries()) {
      assert.ok('answer' in outcome);
      assert.ok(
        Math.abs(outcome.answer.score - meanSquares(row(usual, i), rebuilt.subarray(i * 16, (i + 1) * 16))) < 1e-5,
      );
      if (outcome.answer.anomaly) alarms++;
    }
    // Binomial with p up to 0.05 + 1/401: 1,000 draws stay below 7.5 % but once in a thousand.
    assert.ok(alarms < 75, `${alarms} alarms of 1,000`);
    const odd = waves(50, 4, 5);
    const found = await Promise.all([...odd.indices].map((i) => service.ask(row(odd, i))));
    assert.ok(found.every((o) => 'answer' in o && o.answer.anomaly));
    const { requests, batches, anomalies, latenciesMs } = service.report();
    assert.deepEqual([requests, anomalies, latenciesMs.length], [1050, alarms + 50, 1050]);
    assert.ok(batches < 100, `${batches} batches`);
    assert.equal(service.report().requests, 0);
    await service.stop();
  });

  test('swapping the model under load: every request is answered once, by the old one or the new one', async () => {
    const service = new InferenceService(inferSchema.parse({ batch: 8, queue: 100_000 }), log);
    await service.use(servable(trained, 1), undefined);
    const view = waves(1, 5);
    const versions: number[] = [];
    const asked: Promise<void>[] = [];
    for (let version = 2; version <= 6; version++) {
      const swap = service.use(servable(trained, version), undefined);
      for (let i = 0; i < 200; i++)
        asked.push(
          service.ask(row(view, 0)).then((outcome) => {
            assert.ok('answer' in outcome);
            versions.push(outcome.answer.version);
          }),
        );
      await swap;
    }
    await Promise.all(asked);
    assert.equal(versions.length, 1000);
    assert.deepEqual(versions, [...versions].sort(), 'the order of requests is that of versions');
    assert.ok(new Set(versions).size >= 3, [...new Set(versions)].join());
    await service.stop();
  });

  test('what can not be answered is told why', async () => {
    const service = new InferenceService(inferSchema.parse({ queue: 2, batch: 1 }), log);
    const refused = async (x: Float32Array): Promise<string> => {
      const outcome = await service.ask(x);
      return 'refused' in outcome ? outcome.refused : 'answered';
    };
    assert.equal(await refused(new Float32Array(16)), 'no-model');
    await service.use(servable(trained, 1), waves(5, 1));
    assert.equal(service.threshold, undefined, 'five samples are too few for a rate of 1 %');
    assert.equal(await refused(new Float32Array(15)), 'bad-request');
    assert.equal(await refused(new Float32Array(16).fill(Number.NaN)), 'bad-request');
    const many = await Promise.all(Array.from({ length: 10 }, () => refused(new Float32Array(16))));
    assert.deepEqual([...new Set(many)].sort(), ['answered', 'overloaded']);
    await service.stop();
    assert.equal(await refused(new Float32Array(16)), 'no-model');
  });

  test('requests in JSON and in MessagePack get results of their kind; bad ones are told so', async () => {
    const service = new InferenceService(inferSchema.parse({}), log);
    await service.use(servable(trained, 7), waves(400, 2));
    const sent: Uint8Array[] = [];
    let arrived: () => void = () => {};
    const endpoint = new InferenceEndpoint({
      service,
      topics: new Topics('plant'),
      names: { edge: 'e', model: 'm', classes: [] },
      publish: (topic, payload) => {
        assert.equal(topic, 'ecavg/v1/plant/edge/e/infer/m/result');
        sent.push(payload);
        arrived();
      },
      log,
    });
    const result = async (payload: Uint8Array): Promise<Uint8Array> => {
      const there = new Promise<void>((done) => {
        arrived = done;
      });
      endpoint.request(payload);
      await there;
      return sent.pop() as Uint8Array;
    };
    const x = row(waves(1, 9), 0);
    const json = JSON.parse(String(await result(Buffer.from(JSON.stringify({ id: 4, x: [...x] })))));
    assert.deepEqual([json.id, json.version, json.anomaly, json.own], ['4', 7, false, false]);
    const packed = await result(
      encodeMessage('request', { id: 'a', x: new Uint8Array(x.buffer, x.byteOffset, x.byteLength) }),
    );
    const message = decodeMessage('result', packed);
    assert.equal(message.score, json.score);
    assert.ok((message.latencyMs ?? 0) > 0);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 50 }),
          fc.json().map((t) => Buffer.from(`{${t}`)),
        ),
        async (bytes) => {
          const out = await result(bytes);
          const told = out[0] === 0x7b ? JSON.parse(String(out)) : decodeMessage('result', out);
          assert.equal(told.error, 'bad-request');
        },
      ),
      { numRuns: 50 },
    );
    await service.stop();
  });
});

test('the threshold is the conformal quantile; too few scores give none', () => {
  const scores = Float32Array.from({ length: 99 }, (_, i) => i + 1);
  assert.equal(conformalThreshold(scores, 0.01), 99);
  assert.equal(conformalThreshold(scores, 0.1), 90);
  assert.equal(conformalThreshold(scores.subarray(0, 98), 0.01), undefined);
  assert.equal(conformalThreshold(Float32Array.of(1, Number.NaN), 0.5), undefined);
});
