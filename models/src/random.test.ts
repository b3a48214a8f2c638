import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from './random.js';

const draw = (n: number, f: () => number) => {
  const values = Array.from({ length: n }, f);
  const mean = values.reduce((a, v) => a + v, 0) / n;
  return { values, mean, variance: values.reduce((a, v) => a + (v - mean) ** 2, 0) / n };
};
const near = (a: number, b: number, e: number): void => assert.ok(Math.abs(a - b) < e, `${a} for ${b}`);

test('a seed gives one sequence, seeds and streams others', () => {
  const first = (seed: number, stream?: string) =>
    draw(8, new Random(seed, stream).uniform.bind(new Random(seed, stream))).values;
  assert.deepEqual(first(1, 'a'), first(1, 'a'));
  const all = [first(1), first(2), first(1, 'a'), first(1, 'b'), first(2 ** 40)].map(String);
  assert.equal(new Set(all).size, all.length);
});

test('moments are those of the distributions', () => {
  const r = new Random(42);
  const uniform = draw(50_000, () => r.uniform());
  near(uniform.mean, 0.5, 0.01);
  near(uniform.variance, 1 / 12, 0.005);
  const normal = draw(50_000, () => r.normal());
  near(normal.mean, 0, 0.02);
  near(normal.variance, 1, 0.03);
  for (const shape of [0.3, 1, 4]) {
    const gamma = draw(50_000, () => r.gamma(shape));
    near(gamma.mean, shape, 0.05 * shape + 0.01);
    near(gamma.variance, shape, 0.1 * shape + 0.02);
  }
});

test('Dirichlet shares sum to 1, shuffles keep every item', () => {
  const r = new Random(1);
  near(
    r.dirichlet(0.1, 7).reduce((a, v) => a + v, 0),
    1,
    1e-9,
  );
  const items = [...Array(50).keys()];
  assert.deepEqual(
    [...r.shuffle([...items])].sort((a, b) => a - b),
    items,
  );
});
