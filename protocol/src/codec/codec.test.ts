import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { ProtocolError } from '../errors.js';
import { type Layout, makeLayout } from '../layout.js';
import { type Carried, encodeWithFeedback } from './errorFeedback.js';
import { CODECS, codec } from './index.js';
import type { UpdateCodec } from './types.js';

const shape = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 0, maxLength: 3 });
const layouts = fc
  .array(shape, { minLength: 1, maxLength: 5 })
  .map((shapes) => makeLayout(shapes.map((s, i) => ({ name: `t${i}`, shape: s }))));
const value = fc.oneof(
  fc.constant(0),
  fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }),
  fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e-38), max: Math.fround(1e-38) }),
);
const cases = layouts.chain((layout) =>
  fc.tuple(fc.constant(layout), fc.array(value, { minLength: layout.total, maxLength: layout.total })),
);

function decode(c: UpdateCodec, payload: Uint8Array, layout: Layout): Float32Array {
  const out = new Float32Array(layout.total);
  c.accumulate(payload, layout, 1, out);
  return out;
}

describe('codecs', () => {
  test('raw is exact', () => {
    fc.assert(
      fc.property(cases, ([layout, values]) => {
        const delta = Float32Array.from(values);
        const c = codec('raw');
        assert.deepEqual(
          decode(c, c.encode(delta, layout, {}), layout),
          delta.map((v) => v + 0),
        );
      }),
    );
  });

  test('int8 is within half a step of each tensor', () => {
    fc.assert(
      fc.property(cases, ([layout, values]) => {
        const delta = Float32Array.from(values);
        const c = codec('int8-brotli');
        const back = decode(c, c.encode(delta, layout, {}), layout);
        for (const { offset, length } of layout.tensors) {
          const part = delta.subarray(offset, offset + length);
          const step = Math.max(...part.map(Math.abs)) / 127;
          part.forEach((v, i) => {
            assert.ok(
              Math.abs((back[offset + i] as number) - v) <= step * 0.501 + 1e-37,
              `${back[offset + i]} for ${v}`,
            );
          });
        }
      }),
    );
  });

  test('topk keeps the largest values and leaves the others at 0', () => {
    const layout = makeLayout([{ name: 'w', shape: [40, 25] }]);
    const delta = Float32Array.from({ length: 1000 }, (_, i) => (i % 10 === 3 ? 5 + (i % 7) : 0.001 * (i % 5)));
    const c = codec('topk-brotli');
    const back = decode(c, c.encode(delta, layout, { fraction: 0.1 }), layout);
    delta.forEach((v, i) => {
      if (v >= 5) assert.ok(Math.abs((back[i] as number) - v) < 0.05);
      else assert.equal(back[i], 0);
    });
  });

  test('topk with fraction 1 is as near as int8', () => {
    fc.assert(
      fc.property(cases, ([layout, values]) => {
        const delta = Float32Array.from(values);
        const [a, b] = [codec('topk-brotli'), codec('int8-brotli')];
        assert.deepEqual(
          decode(a, a.encode(delta, layout, { fraction: 1 }), layout),
          decode(b, b.encode(delta, layout, {}), layout),
        );
      }),
    );
  });

  for (const c of Object.values(CODECS)) {
    test(`${c.name} refuses NaN and infinity, naming the tensor`, () => {
      const layout = makeLayout([
        { name: 'ok', shape: [2] },
        { name: 'bad', shape: [3] },
      ]);
      for (const v of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        assert.throws(
          () => c.encode(Float32Array.of(0, 0, 0, v, 0), layout, {}),
          (e) => e instanceof ProtocolError && e.reason === 'non-finite' && /"bad"\[1\]/.test(e.message),
        );
      }
    });

    test(`${c.name} survives damaged payloads with a typed refusal or finite values`, () => {
      const layout = makeLayout([
        { name: 'w', shape: [20, 10] },
        { name: 'b', shape: [10] },
      ]);
      const payload = c.encode(
        Float32Array.from({ length: 210 }, (_, i) => Math.sin(i)),
        layout,
        {},
      );
      const check = (bytes: Uint8Array): void => {
        try {
          assert.ok(decode(c, bytes, layout).every(Number.isFinite));
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      };
      // Damage is done before Brotli too, so that it reaches our own parser and not only Brotli's.
      const inner = !c.name.endsWith('brotli') ? payload : Uint8Array.from(brotliDecompressSync(payload));
      const wrap = (b: Uint8Array): Uint8Array => (c.name.endsWith('brotli') ? brotliCompressSync(b) : b);
      fc.assert(
        fc.property(fc.nat(inner.length - 1), fc.nat(255), fc.nat(payload.length), (at, byte, cut) => {
          const bad = Uint8Array.from(inner);
          bad[at] = byte;
          check(wrap(bad));
          check(wrap(inner.subarray(0, at)));
          check(payload.subarray(0, cut));
        }),
        { numRuns: 1000 },
      );
    });

    test(`${c.name} adds with a weight`, () => {
      const layout = makeLayout([{ name: 'w', shape: [4] }]);
      const payload = c.encode(Float32Array.of(127, -127, 0, 64), layout, { smallStep: 0 });
      const into = Float32Array.of(1, 1, 1, 1);
      c.accumulate(payload, layout, 0.5, into);
      assert.deepEqual(into, Float32Array.of(64.5, -62.5, 1, 33));
    });
  }

  test('a compression bomb stops at the size of the layout', () => {
    const layout = makeLayout([{ name: 'w', shape: [10] }]);
    const bomb = brotliCompressSync(new Uint8Array(50_000_000));
    for (const name of ['int8-brotli', 'topk-brotli']) {
      assert.throws(
        () => codec(name).check(bomb, layout),
        (e) => (e as ProtocolError).reason === 'payload',
      );
    }
  });

  test('an unknown codec is named with those there are', () => {
    for (const name of ['zip', '__proto__', 'constructor']) {
      assert.throws(
        () => codec(name),
        (e) => (e as ProtocolError).reason === 'unknown-codec' && /int8-brotli/.test((e as Error).message),
      );
    }
  });

  test('an option out of range is refused', () => {
    const layout = makeLayout([{ name: 'w', shape: [4] }]);
    assert.throws(() => codec('topk-brotli').encode(new Float32Array(4), layout, { fraction: 0 }), RangeError);
  });
});

describe('error feedback', () => {
  const layout = makeLayout([{ name: 'w', shape: [30, 10] }]);
  const delta = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i * 1.7) ** 5);

  test('what was sent and what is kept sum to what was wanted', () => {
    const c = codec('topk-brotli');
    const residual = delta.map((v) => v / 3);
    const { payload, ifAccepted, ifRejected } = encodeWithFeedback(c, delta, { residual }, layout, { fraction: 0.05 });
    const sent = decode(c, payload, layout);
    delta.forEach((v, i) => {
      const wanted = Math.fround(v + (residual[i] as number));
      assert.equal(ifRejected.residual?.[i], wanted);
      assert.ok(Math.abs((sent[i] as number) + (ifAccepted.residual?.[i] as number) - wanted) < 1e-6);
    });
  });

  test('over many rounds everything arrives', () => {
    const c = codec('topk-brotli');
    const arrived = new Float32Array(300);
    let carried: Carried = {};
    for (let round = 0; round < 200; round++) {
      const e = encodeWithFeedback(c, delta, carried, layout, { fraction: 0.05 });
      c.accumulate(e.payload, layout, 1 / 200, arrived);
      carried = e.ifAccepted;
    }
    delta.forEach((v, i) => {
      assert.ok(Math.abs((arrived[i] as number) - v) < 0.15, `${arrived[i]} for ${v}`);
    });
  });
});
