import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { prepareArtifact } from '../artifact.js';
import { inspectModel, sampleShape } from '../autodiff/inspect.js';
import { parseModel } from '../onnx/model.js';
import { OrtTrainer } from './ortTrainer.js';

/** Exports of bench/peers/export.py and export_keras.py, with the losses of the peer's own training from the same weights. */
const fixture = (file: string): Buffer => readFileSync(new URL(`../../fixtures/${file}`, import.meta.url));

interface Expected {
  readonly sample: number[];
  readonly batch: number;
  readonly losses: number[];
}

describe('exported models train here as they do where they come from', () => {
  for (const [name, producer] of [
    ['mobile', /pytorch/],
    ['resnet', /pytorch/],
    ['signal', /pytorch/],
    ['keras-images', /tf2onnx/],
    ['keras-signals', /tf2onnx/],
  ] as const) {
    test(name, async () => {
      const { sample, batch, losses } = JSON.parse(fixture(`${name}.json`).toString()) as Expected;
      const model = parseModel(fixture(`${name}.onnx`));
      assert.match(inspectModel(model).producer, producer);
      assert.deepEqual(sampleShape(model), sample);
      const artifact = await prepareArtifact(model, { loss: 'cross-entropy', batch, sample });
      const trainer = await OrtTrainer.create(artifact.train);
      trainer.setWeights(artifact.weights);
      const size = batch * sample.reduce((a, d) => a * d, 1);
      for (const [step, expected] of losses.entries()) {
        const from = (step % 2) * size;
        const x = Float32Array.from({ length: size }, (_, i) => 1.5 * Math.sin(0.7 * (from + i) + ((from + i) % 11)));
        const y = Int32Array.from({ length: batch }, (_, i) => (7 * ((step % 2) * batch + i) + 3) % 5);
        const { loss } = await trainer.step(x, y, new Float32Array(batch).fill(1), 0.05, 0.9);
        // Rounding grows from step to step, in either of them.
        assert.ok(Math.abs(loss - expected) < 1e-4 * (1 + step) * expected, `step ${step}: ${loss}, there ${expected}`);
      }
      assert.ok((losses.at(-1) ?? 9) < 0.99 * (losses[0] ?? 0), 'the loss fell');
      await trainer.release();
    });
  }
});
