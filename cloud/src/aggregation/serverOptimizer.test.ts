import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ServerOptions, type ServerState, serverStep } from './serverOptimizer.js';

const near = (actual: ArrayLike<number>, expected: readonly number[], within = 1e-6): void => {
  assert.equal(actual.length, expected.length);
  expected.forEach((e, i) => {
    assert.ok(Math.abs((actual[i] as number) - e) <= within, `[${i}] is ${actual[i]}, not ${e}`);
  });
};

describe('the server’s optimiser', () => {
  const options = (name: ServerOptions['name']): ServerOptions => ({
    name,
    learningRate: 0.1,
    momentum: 0.9,
    beta1: 0.9,
    beta2: 0.99,
    tau: 1e-3,
  });
  const differences = [0.5, -0.25, 0.125];
  const run = (name: ServerOptions['name']): number => {
    let weights = Float32Array.of(1);
    let state: ServerState = {};
    for (const d of differences)
      ({ weights, state } = serverStep(weights, Float32Array.of(d), options(name), state) as never);
    return weights[0] as number;
  };

  test('none adds, Reptile goes a share of the way', () => {
    near([run('none'), run('reptile')], [1.375, 1.0375]);
  });

  test('FedAvgM, FedAdam and FedYogi are the recursions of their papers', () => {
    let [w, m] = [1, 0];
    for (const d of differences) {
      m = 0.9 * m + d;
      w += 0.1 * m;
    }
    near([run('fedavgm')], [w]);
    for (const name of ['fedadam', 'fedyogi'] as const) {
      let [x, first, second] = [1, 0, 1e-6];
      for (const d of differences) {
        first = 0.9 * first + 0.1 * d;
        second = name === 'fedadam' ? 0.99 * second + 0.01 * d * d : second - 0.01 * d * d * Math.sign(second - d * d);
        x += (0.1 * first) / (Math.sqrt(second) + 1e-3);
      }
      near([run(name)], [x], 1e-5);
    }
  });

  test('running statistics take the plain difference', () => {
    const { weights } = serverStep(Float32Array.of(1, 1), Float32Array.of(0.5, 0.5), options('fedadam'), {}, [[1, 2]]);
    assert.equal(weights[1], 1.5);
    assert.notEqual(weights[0], 1.5);
  });
});
