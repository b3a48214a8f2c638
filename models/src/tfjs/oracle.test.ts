import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import { prepareArtifact } from '../artifact.js';
import { cases } from '../autodiff/gradients.cases.js';
import { type Case, makeCase } from '../ops/make.cases.js';
import { OPS } from '../ops/table.js';
import { OrtTrainer } from '../train/ortTrainer.js';
import { TfjsTrainer } from './trainer.js';

const relativeTo = (scale: number, a: number, b: number): number => Math.abs(a - b) / (scale + 1e-3);

/** Loss and every gradient by our training graph in ONNX Runtime, and by TensorFlow.js from the inference graph. */
async function check(c: Case): Promise<void> {
  const { model, weights, options, batch } = makeCase(c);
  const artifact = await prepareArtifact(model, options);
  const [ours, oracle] = [await OrtTrainer.create(artifact.train), await TfjsTrainer.create(tf, artifact)];
  for (const trainer of [ours, oracle]) trainer.setWeights(artifact.weights);
  const { x, y, weight, masks } = batch(artifact.info);
  // With a learning rate of 1 and no momentum, a step of SGD takes off the gradient itself.
  const before = ours.getWeights();
  const { loss } = await ours.step(x, y, weight, 1, 0, { masks });
  const after = ours.getWeights();
  const expected = await oracle.gradients(x, y, weight, { masks });
  assert.ok(Number.isFinite(loss) && relativeTo(Math.abs(loss), loss, expected.loss) < 1e-4, `loss ${loss}`);
  await oracle.step(x, y, weight, 1, 0, { masks });
  const stepped = oracle.getWeights();
  for (const { name, offset, length } of artifact.layout.tensors) {
    const g = expected.gradients.get(name);
    const [from, to, theirs] = [before, after, stepped].map((w) => w.subarray(offset, offset + length)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const scale = Math.max(...from.map(Math.abs), ...to.map(Math.abs));
    theirs.forEach((v, i) => {
      assert.ok(relativeTo(scale, v, to[i] ?? 0) < 1e-4, `${name}[${i}] after a step: ${to[i]}, oracle ${v}`);
    });
    // Running statistics of batch normalisation have no gradient, but move alike.
    if (!g) continue;
    const largest = Math.max(...g.map(Math.abs));
    g.forEach((v, i) => {
      const mine = (from[i] ?? 0) - (to[i] ?? 0);
      assert.ok(relativeTo(largest + scale, v, mine) < 1e-4, `${name}[${i}]: ${mine}, oracle ${v}`);
    });
  }
  assert.ok(weights.size > 0);
  await Promise.all([ours.release(), oracle.release()]);
}

describe('loss, gradients and step agree with TensorFlow.js', () => {
  before(async () => {
    tf.enableProdMode();
    await tf.setBackend('cpu');
  });

  for (const c of cases) test(c.name, () => check(c));

  test('TensorFlow.js can be asked for every op that has a gradient rule', () => {
    for (const [op, { kernel }] of Object.entries(OPS)) assert.equal(typeof kernel, 'function', op);
  });

  test('no tensor is left behind', async () => {
    await tf.ready();
    const count = tf.memory().numTensors;
    for (const name of ['Dropout', 'BatchNormalization, batch statistics', 'Conv 2-D, stride and dilation']) {
      const c = cases.find((each) => each.name === name);
      assert.ok(c, name);
      await check(c);
    }
    assert.equal(tf.memory().numTensors, count);
  });
});
