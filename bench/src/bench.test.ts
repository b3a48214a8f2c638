import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zooModel } from '@ecavg/models';
import { forwardFlops } from './flops.js';
import { measure, prepareCase } from './train.js';

test('the arithmetic of a forward pass is counted as on paper', async () => {
  // 2 * 3 * (784 * 128 + 128 * 10)
  assert.equal(
    await forwardFlops(zooModel('mlp', { input: [1, 28, 28], classes: 10, seed: 1 }), [3, 1, 28, 28]),
    609_792,
  );
  // conv1: 2 * 8 * 8 * 16 * 9; conv2: 2 * 4 * 4 * 32 * 16 * 9; head: 2 * 128 * 10
  const cnn = await forwardFlops(zooModel('cnn-small', { input: [1, 8, 8], classes: 10, seed: 1 }), [1, 1, 8, 8]);
  assert.equal(cnn, 18_432 + 147_456 + 2_560);
});

test('a measurement has figures that belong together', async () => {
  const f = await measure('mlp', 1, await prepareCase('mlp'));
  assert.ok(f.stepMs > 0 && f.forwardMs > 0 && f.matmulGflops > 0 && f.peakRssMb > 10);
  assert.ok(Math.abs(f.samplesPerSecond - 32_000 / f.stepMs) < 1e-6);
  assert.ok(Math.abs(f.stepToForward - f.stepMs / f.forwardMs) < 1e-9);
});
