import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from './errors.js';
import { decodeShare, encodeShare, shareHeader } from './share.js';
import { Signer } from './signing.js';

const signer = Signer.generate();
const about = (shape: number[]) => ({
  fleet: 'f',
  edge: 'e',
  model: 'm',
  base: 'a'.repeat(64),
  kind: 'features' as const,
  layer: 'relu',
  shape,
  createdAt: 1,
});
const reason = (f: () => unknown): string => {
  try {
    f();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return error.reason;
  }
  return 'none';
};

test('rows come back within half a step, labels exactly', () => {
  const rows = fc.integer({ min: 1, max: 6 }).chain((size) =>
    fc.array(
      fc.record({
        label: fc.integer({ min: 0, max: 9 }),
        row: fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: size, maxLength: size }),
      }),
      { minLength: 1, maxLength: 20 },
    ),
  );
  fc.assert(
    fc.property(rows, (all) => {
      const size = all[0]?.row.length ?? 0;
      const shared = {
        values: Float32Array.from(all.flatMap((r) => r.row)),
        labels: Int32Array.from(all, (r) => r.label),
      };
      const blob = encodeShare(about([size]), shared, signer);
      assert.equal(shareHeader(blob).count, all.length);
      const back = decodeShare(blob, 10);
      assert.deepEqual(back.header.shape, [size]);
      assert.deepEqual(back.shared.labels, shared.labels);
      for (const [n, { row }] of all.entries()) {
        const range = Math.max(...row) - Math.min(...row);
        for (const [i, v] of row.entries()) {
          const error = Math.abs((back.shared.values[n * size + i] as number) - v);
          assert.ok(error <= range / 510 + 1e-3, `${error} of ${range}`);
        }
      }
    }),
  );
});

test('damage, foreign labels and more than was declared are refused', () => {
  const shared = { values: Float32Array.from({ length: 12 }, (_, i) => i), labels: Int32Array.of(0, 1, 2) };
  const blob = encodeShare(about([4]), shared, signer);
  assert.equal(
    reason(() => decodeShare(blob, 2)),
    'payload',
  );
  const cut = blob.slice(0, -1);
  assert.equal(
    reason(() => decodeShare(cut, 3)),
    'bad-signature',
  );
  assert.equal(
    reason(() => decodeShare(new Uint8Array(100), 3)),
    'payload',
  );
  assert.throws(() => encodeShare(about([4]), { ...shared, values: new Float32Array(11) }, signer), RangeError);
  assert.throws(
    () => encodeShare(about([4]), { ...shared, values: new Float32Array(12).fill(NaN) }, signer),
    RangeError,
  );
});
