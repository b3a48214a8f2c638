import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from '../errors.js';
import { type Layout, makeLayout } from '../layout.js';
import { type Carried, encodeWithFeedback } from './errorFeedback.js';
import { encodeWithin, PRESETS, presetOptions, warmedUp } from './presets.js';
import { ceilBfloat16, magnitudeOfRank, rms } from './quantise.js';
import { makeReference, rangeCodec } from './range.js';
import { bitModels, RangeDecoder, RangeEncoder } from './rangeCoder.js';
import type { CodecOptions, Reference } from './types.js';

const value = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 5, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 }) },
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e-38), max: Math.fround(1e-38) }),
);
const shape = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 0, maxLength: 4 });
const cases = fc
  .array(shape, { minLength: 0, maxLength: 5 })
  .map((shapes) => makeLayout(shapes.map((s, i) => ({ name: `t${i}`, shape: s }))))
  .filter((layout) => layout.total <= 3000)
  .chain((layout) =>
    fc.tuple(fc.constant(layout), fc.array(value, { minLength: layout.total, maxLength: layout.total })),
  );
const OPTIONS: Record<string, CodecOptions> = {
  ...PRESETS,
  'dead zone': { step: 1, deadZone: 0.7 },
  fine: { step: 0.01, smallBelow: 0 },
  'int8 per row': { bits: 8 },
  'int4 per row': { bits: 4 },
};

function decode(payload: Uint8Array, layout: Layout, reference?: Reference): Float32Array {
  const out = new Float32Array(layout.total);
  rangeCodec.check(payload, layout, reference);
  rangeCodec.accumulate(payload, layout, 1, out, reference);
  return out;
}

describe('range coder', () => {
  test('bits come back, adaptive and direct, whatever the statistics', () => {
    const step = fc.oneof(
      fc.tuple(fc.constant('bit'), fc.nat(3), fc.nat(1)),
      fc.tuple(fc.constant('direct'), fc.integer({ min: 0, max: 32 }), fc.nat(0xffffffff)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.boolean(), (steps, skewed) => {
        const out = new RangeEncoder();
        const models = bitModels(4);
        const mask = (n: number, v: number): number => (n === 32 ? v >>> 0 : (v & (2 ** n - 1)) >>> 0);
        for (const [kind, n, v] of steps) {
          if (kind === 'bit') out.bit(models, n, skewed ? 1 : v);
          else out.direct(mask(n, v), n);
        }
        const from = new RangeDecoder(out.finish());
        const again = bitModels(4);
        for (const [kind, n, v] of steps) {
          if (kind === 'bit') assert.equal(from.bit(again, n), skewed ? 1 : v);
          else assert.equal(from.direct(n), mask(n, v));
        }
        from.end();
      }),
      { numRuns: 500 },
    );
  });

  test('a million bits of known probability take little more than their entropy', () => {
    for (const p of [0.5, 0.2, 0.05]) {
      const out = new RangeEncoder();
      const models = bitModels(1);
      let seed = 1;
      const n = 1_000_000;
      for (let i = 0; i < n; i++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        out.bit(models, 0, seed / 2 ** 32 < p ? 1 : 0);
      }
      const entropy = -(p * Math.log2(p) + (1 - p) * Math.log2(1 - p));
      const bits = (out.finish().length * 8) / n;
      // A source that never changes is the worst case of estimators that never stop learning.
      assert.ok(bits < entropy * 1.04, `${bits} bits for an entropy of ${entropy}`);
    }
  });
});

describe('codec range', () => {
  for (const [name, options] of Object.entries(OPTIONS)) {
    test(`${name}: any shape and values come back within the quantiser's error`, () => {
      fc.assert(
        fc.property(cases, ([layout, values]) => {
          const delta = Float32Array.from(values);
          const back = decode(rangeCodec.encode(delta, layout, options), layout);
          for (const { offset, length, shape: dims } of layout.tensors) {
            const part = delta.subarray(offset, offset + length);
            const small = dims.length < 2 || length <= (options.smallBelow ?? 64);
            if (!small && ((options.fraction ?? 0) > 0 || (options.bits ?? 0) > 0)) continue;
            const relative = (small ? (options.smallStep ?? 0.1) : (options.step ?? 2)) * rms(part);
            // The step is a bfloat16, at most 1/128 coarser than asked for.
            const peak = Math.max(0, ...part.map(Math.abs));
            // Near the end of float32 a level may be cut, so that it does not overflow: up to a whole step off.
            const share = peak > 1e38 ? 1 : small ? 0.5 : (options.deadZone ?? 0.5);
            const most = Math.max(relative * 1.01 * share, peak * 1e-6, 1e-38);
            part.forEach((v, i) => {
              const got = back[offset + i] as number;
              assert.ok(Number.isFinite(got));
              if (relative === 0 && options.step === 0) assert.equal(got, v + 0);
              else assert.ok(Math.abs(got - v) <= most, `${got} for ${v}, at most ${most} off`);
            });
          }
        }),
      );
    });
  }

  test('with a reference the same values come back, and only with it', () => {
    fc.assert(
      fc.property(cases, fc.integer(), ([layout, values], seed) => {
        const reference = makeReference(Int8Array.from({ length: layout.total }, (_, i) => ((i * 31 + seed) % 7) - 3));
        const delta = Float32Array.from(values);
        const coded = rangeCodec.encode(delta, layout, { step: 1 }, reference);
        assert.equal(rangeCodec.referenceOf(coded), reference.hash);
        assert.deepEqual(
          decode(coded, layout, reference),
          decode(rangeCodec.encode(delta, layout, { step: 1 }), layout),
        );
        const other = makeReference(new Int8Array(layout.total).fill(5));
        for (const wrong of [undefined, other]) {
          if (wrong?.hash === reference.hash) continue;
          assert.throws(
            () => decode(coded, layout, wrong),
            (e) => e instanceof ProtocolError && e.reason === 'reference-mismatch',
          );
        }
      }),
    );
  });

  test('a reference that is like the update makes it smaller', () => {
    const layout = makeLayout([{ name: 'w', shape: [100, 100] }]);
    const noise = (i: number): number =>
      Math.sin(i * 12.9898) * 43758.5453 - Math.floor(Math.sin(i * 12.9898) * 43758.5453) - 0.5;
    const before = Float32Array.from({ length: layout.total }, (_, i) => noise(i) ** 5);
    const now = before.map((v, i) => v + 0.2 * noise(i + 1e5) ** 5);
    const first = rangeCodec.encode(before, layout, { step: 1 });
    const alone = rangeCodec.encode(now, layout, { step: 1 });
    const inLight = rangeCodec.encode(now, layout, { step: 1 }, rangeCodec.levels(first, layout));
    assert.ok(inLight.length < alone.length * 0.75, `${inLight.length} bytes for ${alone.length}`);
  });

  test('sparse ternary keeps the largest, with their mean', () => {
    const layout = makeLayout([{ name: 'w', shape: [10, 100] }]);
    const delta = Float32Array.from({ length: 1000 }, (_, i) =>
      i % 100 === 7 ? (i % 200 === 7 ? -4 : 2) : 0.001 * (i % 9),
    );
    const back = decode(rangeCodec.encode(delta, layout, { fraction: 0.01 }), layout);
    back.forEach((v, i) => {
      assert.ok(Math.abs(v - (i % 100 === 7 ? (i % 200 === 7 ? -3 : 3) : 0)) < 0.03, `${v} at ${i}`);
    });
  });

  test('damaged payloads get a typed refusal or finite values, and a stream with an end missing or to spare is refused', () => {
    const layout = makeLayout([
      { name: 'w', shape: [20, 10] },
      { name: 'v', shape: [300, 2, 2] },
      { name: 'b', shape: [10] },
    ]);
    const delta = Float32Array.from({ length: layout.total }, (_, i) => Math.sin(i) ** 3);
    for (const options of Object.values(OPTIONS)) {
      const payload = rangeCodec.encode(delta, layout, options);
      const run = (bytes: Uint8Array): void => {
        try {
          assert.ok(decode(bytes, layout).every(Number.isFinite));
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      };
      fc.assert(
        fc.property(fc.nat(payload.length - 1), fc.nat(255), fc.nat(payload.length), (at, byte, cut) => {
          const bad = Uint8Array.from(payload);
          bad[at] = byte;
          run(bad);
          run(payload.subarray(0, cut));
        }),
        { numRuns: 300 },
      );
      assert.throws(() => decode(payload.subarray(0, payload.length >> 1), layout), ProtocolError);
      assert.throws(() => decode(Uint8Array.from([...payload, 1]), layout), /after the last tensor/);
    }
  });

  test('no tensor is silenced by a coarse step, whatever its distribution', () => {
    const layout = makeLayout([{ name: 'w', shape: [40, 50] }]);
    const delta = Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i));
    const back = decode(rangeCodec.encode(delta, layout, { step: 50 }), layout);
    assert.ok(back.filter((v) => v !== 0).length >= 3);
  });

  test('a few bytes of all zeros cost no more than their layout', () => {
    const layout = makeLayout([{ name: 'w', shape: [1000, 1000] }]);
    const payload = rangeCodec.encode(new Float32Array(1e6), layout, {});
    assert.ok(payload.length <= 8, `${payload.length} bytes`);
    assert.ok(decode(payload, layout).every((v) => v === 0));
  });
});

describe('quantiser', () => {
  test('a step in bfloat16 is never finer than asked, and at most 1/128 coarser', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: Math.fround(1e-30), max: Math.fround(1e30) }), (v) => {
        const step = ceilBfloat16(v);
        assert.ok(step >= v && step <= v * (1 + 1 / 128));
      }),
    );
  });

  test('the magnitude of a rank is that of sorting', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), fc.nat(199), (values, at) => {
        const v = Float32Array.from(values);
        const k = (at % v.length) + 1;
        const sorted = v.map(Math.abs).sort();
        const expected = k >= v.length ? 0 : (sorted[v.length - k] as number);
        assert.equal(magnitudeOfRank(v, k), expected);
      }),
    );
  });
});

describe('presets', () => {
  const layout = makeLayout([{ name: 'w', shape: [100, 100] }]);
  const delta = Float32Array.from({ length: 10_000 }, (_, i) => Math.sin(i * i) ** 41);
  const size = (options: CodecOptions): number => rangeCodec.encode(delta, layout, options).length;

  test('each is smaller than the one before', () => {
    const sizes = Object.values(PRESETS).map(size);
    assert.deepEqual(
      sizes,
      [...sizes].sort((a, b) => b - a),
    );
  });

  test('auto takes what the link carries', () => {
    const at = (budget: number | undefined): number =>
      encodeWithin(presetOptions('auto'), budget, (o) => ({ payload: rangeCodec.encode(delta, layout, o) })).payload
        .length;
    assert.equal(at(undefined), size(PRESETS.balanced));
    assert.ok(at(1e9) > size(PRESETS.balanced));
    for (const budget of [size(PRESETS.balanced) - 1, size(PRESETS.tight), size(PRESETS.extreme)]) {
      assert.ok(at(budget) <= budget, `${at(budget)} bytes of ${budget}`);
    }
    assert.equal(at(1), size(PRESETS.extreme), 'nothing fits: the coarsest');
  });

  test('warm-up falls exponentially to the fraction', () => {
    const options = { fraction: 0.001, warmup: 2 };
    const shares = [1, 2, 3, 9].map((round) => warmedUp(options, round).fraction as number);
    [0.1, 0.01, 0.001, 0.001].forEach((expected, i) => {
      assert.ok(Math.abs((shares[i] as number) / expected - 1) < 1e-9);
    });
  });
});

describe('momentum correction', () => {
  test('is the recursion of Deep Gradient Compression, with masking', () => {
    const layout = makeLayout([{ name: 'w', shape: [1, 100] }]);
    const options = { fraction: 0.02, momentum: 0.5 };
    let carried: Carried = {};
    let [u, v] = [new Float64Array(100), new Float64Array(100)];
    for (let round = 0; round < 6; round++) {
      const delta = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i * 7 + round * 3));
      u = u.map((x, i) => 0.5 * x + (delta[i] as number));
      v = v.map((x, i) => x + (u[i] as number));
      const e = encodeWithFeedback(rangeCodec, delta, carried, layout, options);
      const sent = decode(e.payload, layout);
      v = v.map((x, i) => x - (sent[i] as number));
      u = u.map((x, i) => (sent[i] === 0 ? x : 0));
      carried = e.ifAccepted;
      v.forEach((x, i) => {
        assert.ok(Math.abs(x - (carried.residual?.[i] as number)) < 1e-4);
        assert.ok(Math.abs((u[i] as number) - (carried.velocity?.[i] as number)) < 1e-4);
      });
    }
  });
});
