import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DecodedUpdate, sumOverHolders } from './holders.js';

const part = (values: readonly number[], holds?: readonly number[]): DecodedUpdate => ({
  holds: holds && Int32Array.from(holds),
  async addTo(accumulator, weight) {
    for (const [n, v] of values.entries()) {
      const at = holds ? (holds[n] as number) : n;
      accumulator[at] = (accumulator[at] as number) + weight * v;
    }
  },
});

test('each coordinate is the mean of those who hold it (HeteroFL), worked out by hand', async () => {
  // Shares 1/2, 1/4, 1/4. Coordinate 0: all. 1: the first and the second. 2: the first alone. 3: nobody counts it.
  const updates = [part([4, 4, 4, 0], [0, 1, 2]), part([8, 8], [0, 1]), part([16], [0])];
  const out = await sumOverHolders(updates, [0.5, 0.25, 0.25], new Float32Array(4));
  assert.deepEqual([...out], [8, (2 + 2) / 0.75, 4, 0].map(Math.fround));
});

test('where everybody holds everything it is the weighted sum, whatever the order', async () => {
  const values = fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 5, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 6 }), async (rows) => {
      const shares = rows.map((_, k) => (k + 1) / ((rows.length * (rows.length + 1)) / 2));
      const whole = rows.map((r) => part(r));
      const sliced = rows.map((r) => part(r, [0, 1, 2, 3, 4]));
      const [a, b] = [
        await sumOverHolders(whole, shares, new Float32Array(5)),
        await sumOverHolders([...sliced].reverse(), [...shares].reverse(), new Float32Array(5)),
      ];
      for (const [i, v] of a.entries()) assert.ok(Math.abs(v - (b[i] as number)) < 1e-5);
    }),
  );
});
