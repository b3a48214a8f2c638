import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { prepareArtifact, readArtifact, updateArtifact } from '../artifact.js';
import type { DataSet, View } from '../data/dataset.js';
import { ModelError, parseModel, serializeModel } from '../onnx/model.js';
import { Random } from '../random.js';
import { extractWeights } from '../weights.js';
import { zooModel } from '../zoo/zoo.js';
import { Evaluator } from './evaluator.js';
import { OrtTrainer } from './ortTrainer.js';

/** Three tones in noise: easy to learn, so that a step in the wrong direction shows. */
function tones(n: number, shape: number[]): DataSet {
  const random = new Random(3, 'tones');
  const size = shape.reduce((a, d) => a * d, 1);
  const labels = Int32Array.from({ length: n }, (_, i) => i % 3);
  const values = Float32Array.from({ length: n * size }, (_, i) => {
    const label = Math.floor(i / size) % 3;
    return 0.3 * random.normal() + Math.sin(0.5 * (label + 1) * (i % size));
  });
  return {
    name: 'tones',
    simulated: true,
    shape,
    classes: ['a', 'b', 'c'],
    length: n,
    labels,
    groups: labels.map((_, i) => i),
    sites: undefined,
    read: (index, out, offset) => out.set(values.subarray(index * size, (index + 1) * size), offset),
  };
}

const all = (data: DataSet): View => ({ data, indices: Int32Array.from({ length: data.length }, (_, i) => i) });
const options = { epochs: 4, learningRate: 0.05, momentum: 0.9, seed: 5 };

async function setup(name = 'mlp', shape = [12], batch = 16) {
  const data = tones(100, shape);
  const artifact = await prepareArtifact(zooModel(name, { input: shape, classes: 3, seed: 1 }), {
    loss: 'cross-entropy',
    batch,
    sample: shape,
  });
  const trainer = await OrtTrainer.create(artifact.train);
  trainer.setWeights(artifact.weights);
  return { data, artifact, trainer };
}

describe('OrtTrainer', () => {
  const shapes: Record<string, number[]> = { mlp: [12], 'cnn-small': [1, 12, 12], 'sensor-cnn1d': [2, 128] };
  for (const name of Object.keys(shapes)) {
    test(`${name} learns, and its evaluation agrees with its training`, async () => {
      const { data, artifact, trainer } = await setup(name, shapes[name]);
      const evaluator = await Evaluator.create(artifact.model, artifact.layout);
      const before = await evaluator.evaluate(artifact.weights, all(data));
      await trainer.train(all(data), { ...options, epochs: 12 });
      const after = await evaluator.evaluate(trainer.getWeights(), all(data));
      assert.ok(after.loss < before.loss * 0.5, `${before.loss} -> ${after.loss}`);
      assert.ok(after.accuracy > 0.85, String(after.accuracy));
      await trainer.release();
      await evaluator.release();
    });
  }

  test('the same seed gives the same weights to the bit, another seed others', async () => {
    const { data, artifact, trainer } = await setup();
    const run = async (seed: number): Promise<Float32Array> => {
      trainer.setWeights(artifact.weights);
      await trainer.train(all(data), { ...options, seed });
      return trainer.getWeights();
    };
    const first = await run(5);
    assert.deepEqual(await run(5), first);
    assert.notDeepEqual(await run(6), first);
    await trainer.release();
  });

  test('a batch that is not full is exact: the empty places change nothing', async () => {
    const { data, trainer: wide, artifact } = await setup('mlp', [12], 16);
    const { trainer: narrow } = await setup('mlp', [12], 5);
    const x = new Float32Array(5 * 12);
    for (let i = 0; i < 5; i++) data.read(i, x, i * 12);
    const y = data.labels.slice(0, 5);
    const padded = new Float32Array(16 * 12).fill(1e3);
    padded.set(x);
    const weight = new Float32Array(16);
    weight.fill(1, 0, 5);
    const a = await wide.step(
      padded,
      Int32Array.from({ length: 16 }, (_, i) => y[i] ?? 0),
      weight,
      0.1,
      0.9,
    );
    const b = await narrow.step(x, y, new Float32Array(5).fill(1), 0.1, 0.9);
    assert.ok(Math.abs(a.loss - b.loss) < 1e-6);
    assert.equal(a.correct, b.correct);
    const [wa, wb] = [wide.getWeights(), narrow.getWeights()];
    for (let i = 0; i < wa.length; i++) assert.ok(Math.abs((wa[i] as number) - (wb[i] as number)) < 1e-6);
    assert.notDeepEqual(wa, artifact.weights);
  });

  test('SGD with momentum is v = mu v + g, w = w - lr v', async () => {
    const { data, artifact, trainer } = await setup();
    const x = new Float32Array(16 * 12);
    for (let i = 0; i < 16; i++) data.read(i, x, i * 12);
    const y = data.labels.slice(0, 16);
    const ones = new Float32Array(16).fill(1);
    const weights = [artifact.weights];
    for (let i = 0; i < 2; i++) {
      await trainer.step(x, y, ones, 0.1, 0.5);
      weights.push(trainer.getWeights());
    }
    const [w0, w1, w2] = weights as [Float32Array, Float32Array, Float32Array];
    trainer.setWeights(w1);
    await trainer.step(x, y, ones, 0.1, 0.5);
    const fresh = trainer.getWeights();
    for (let i = 0; i < w0.length; i++) {
      // The second step without history, plus half of the first step.
      const expected = (fresh[i] as number) + 0.5 * ((w1[i] as number) - (w0[i] as number));
      assert.ok(Math.abs((w2[i] as number) - expected) < 1e-6);
    }
  });

  test('divergence, an aborted run, wrong data and no data each end with a clear error', async () => {
    const { data, trainer, artifact } = await setup();
    await assert.rejects(
      trainer.train(all(data), { ...options, learningRate: 1e30 }),
      /diverged.*lower the learning rate/,
    );
    trainer.setWeights(artifact.weights);
    await assert.rejects(
      trainer.train(all(data), { ...options, signal: AbortSignal.abort(new Error('enough')) }),
      /enough/,
    );
    await assert.rejects(trainer.train(all(tones(10, [7])), options), /takes samples of shape \[12\]; tones has \[7\]/);
    await assert.rejects(trainer.train({ data, indices: new Int32Array() }, options), /no samples/);
    assert.throws(() => trainer.setWeights(new Float32Array(3)), RangeError);
  });

  test('maxSteps ends training early', async () => {
    const { data, trainer } = await setup();
    assert.equal((await trainer.train(all(data), { ...options, maxSteps: 9 })).steps, 9);
  });
});

describe('artifacts', () => {
  test('weights survive the way through .onnx bytes, and name the version', async () => {
    const { artifact } = await setup();
    const weights = artifact.weights.map((w, i) => w + 0.001 * i);
    const next = updateArtifact(artifact, weights);
    const read = readArtifact(next.infer, next.train);
    assert.deepEqual(read.weights, weights);
    assert.equal(read.sha256, next.sha256);
    assert.notEqual(next.sha256, artifact.sha256);
    assert.equal(read.layout.hash, artifact.layout.hash);
  });

  test('a file read as a Buffer from a pool gives the same weights', async () => {
    const { artifact } = await setup();
    const pooled = Buffer.concat([Buffer.from('x'), artifact.infer]).subarray(1);
    assert.deepEqual(readArtifact(pooled, artifact.train).weights, artifact.weights);
  });

  test('the same seed gives the same bytes', () => {
    const spec = { input: [1, 8, 8], classes: 4, seed: 9 };
    assert.deepEqual(serializeModel(zooModel('cnn-small', spec)), serializeModel(zooModel('cnn-small', spec)));
    assert.notDeepEqual(
      serializeModel(zooModel('cnn-small', spec)),
      serializeModel(zooModel('cnn-small', { ...spec, seed: 8 })),
    );
  });

  test('bad files are refused in one sentence', async () => {
    const { artifact } = await setup();
    assert.throws(() => parseModel(Uint8Array.of(1, 2, 3)), ModelError);
    assert.throws(() => parseModel(new Uint8Array()), /not an ONNX model/);
    assert.throws(() => readArtifact(artifact.infer, artifact.infer), /not a training graph/);
    assert.throws(
      () => readArtifact(artifact.infer.subarray(0, artifact.infer.length / 2), artifact.train),
      ModelError,
    );
    const model = parseModel(artifact.infer);
    const first = model.graph?.initializer[0];
    assert.ok(first);
    first.dataType = 10;
    assert.throws(
      () => extractWeights(model, artifact.layout),
      /16-bit weights \(FLOAT16\); export the model in float32/,
    );
    first.dataType = 1;
    first.rawData = first.rawData.subarray(0, 8);
    assert.throws(() => extractWeights(model, artifact.layout), /holds 8 bytes/);
    first.dataLocation = 1;
    assert.throws(() => extractWeights(model, artifact.layout), /external file/);
  });

  test('the zoo names what it has and what it takes', () => {
    assert.throws(
      () => zooModel('vgg', { input: [4], classes: 2, seed: 1 }),
      /there are mlp, cnn-small, mobilenetv2, resnet50, sensor-cnn1d/,
    );
    assert.throws(() => zooModel('cnn-small', { input: [2, 8], classes: 2, seed: 1 }), /samples of rank 3/);
  });
});
