import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { streamSchema } from '@ecavg/models';
import fc from 'fast-check';
import type { TransformRecord } from './transform.js';
import { TRANSFORMS, TransformChain, transformSchema, transformsDigest } from './transforms.js';

const stream = streamSchema.parse({ channels: [{ name: 'temp' }, { name: 'vib' }], rateHz: 10, window: 4 });

/** What an extension adds, for one test. */
let added = 0;
function extension(reading: unknown, more: Partial<TransformRecord> = {}): string {
  const name = `test-${++added}`;
  TRANSFORMS.add(name, { about: 'for a test', make: () => ({ reading }), ...more });
  return name;
}

function chain(...settings: object[]) {
  const bad: string[] = [];
  const out: string[] = [];
  const made = new TransformChain(
    settings.map((s) => transformSchema.parse(s)),
    stream,
    (detail) => bad.push(detail),
  );
  const put = (channel: number, at: number, value: number): string[] => {
    made.reading({ channel, at, value }, (c, t, v) => out.push(`${c} ${t} ${v}`));
    return out.splice(0);
  };
  return { bad, put, gone: (channel: number, at: number) => made.gone(channel, at) };
}

describe('transforms', () => {
  test('scale: value x factor + offset of the channels that it names', () => {
    const { put, bad } = chain({ type: 'scale', channels: { vib: { factor: 2, offset: -1 } } });
    assert.deepEqual(put(1, 5, 3), ['1 5 5']);
    assert.deepEqual(put(0, 5, 3), ['0 5 3']);
    assert.deepEqual(bad, []);
  });

  test('settings that name no channel or no transform, or are of another shape, are refused by name', () => {
    assert.throws(
      () => chain({ type: 'scale', channels: { heat: {} } }),
      /data\.transforms\.0\.channels\.heat: data\.stream has no such channel; it has temp, vib/,
    );
    const message = (settings: object): string => transformSchema.safeParse(settings).error?.issues[0]?.message ?? '';
    assert.match(message({ type: 'nope' }), /there is no such transform; there are scale/);
    assert.match(message({}), /say which transform; there are scale/);
    assert.match(message({ type: 'scale', channels: { vib: { factor: 0 } } }), /a factor of 0/);
    const schema = {
      parse(): never {
        throw new Error('of: expected a number above 0');
      },
    };
    assert.equal(message({ type: extension(() => 1, { schema }) }), 'of: expected a number above 0');
  });

  test('several steps, one after the other: readings are left out, made into others, or into several', () => {
    const even = extension((_c: number, _at: number, value: number) => (value % 2 === 0 ? value : undefined));
    const twice = extension((channel: number, at: number, value: number) => [
      { channel, at: at - 1, value },
      { channel, at, value },
    ]);
    const { put, bad } = chain({ type: even }, { type: twice }, { type: 'scale', channels: { temp: { factor: 10 } } });
    assert.deepEqual(put(0, 7, 3), []);
    assert.deepEqual(put(0, 7, 4), ['0 6 40', '0 7 40']);
    assert.deepEqual(bad, []);
  });

  test('what an extension gives that is no reading is counted and goes no further', async () => {
    const rejected = async (): Promise<never> => {
      throw new Error('nobody waits for this');
    };
    const gives: [unknown, RegExp][] = [
      [() => Number.NaN, /gave NaN for a reading of vib/],
      [() => Number.POSITIVE_INFINITY, /gave Infinity/],
      [() => '3', /gave "3"/],
      [() => null, /gave null/],
      [() => 3n, /gave bigint/],
      [rejected, /gave a promise/],
      [() => [{ channel: 9, at: 1, value: 1 }], /gave \[\{"channel":9/],
      [() => [{ channel: 0, at: Number.NaN, value: 1 }], /gave/],
      [() => [undefined], /gave/],
      [
        () => {
          throw new Error('a fault of its own');
        },
        /data\.transforms\.0 \(test-\d+\): a fault of its own/,
      ],
    ];
    for (const [reading, said] of gives) {
      const { put, bad } = chain({ type: extension(reading) });
      assert.deepEqual(put(1, 5, 3), []);
      assert.equal(bad.length, 1);
      assert.match(bad[0] ?? '', said);
    }
    // An unhandled rejection would end this test.
    await new Promise((done) => setImmediate(done));
  });

  test('whatever comes out of a step, only finite readings of known channels go on', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const { put } = chain({ type: extension(() => value) });
        for (const line of put(0, 1, 1)) assert.match(line, /^[01] -?[\d.e+-]+ -?[\d.e+-]+$/);
      }),
    );
  });

  test('what is no number is not shown to a step: it is counted where windows are cut', () => {
    const { put } = chain({ type: extension(() => 1) });
    assert.deepEqual(put(0, 1, Number.NaN), ['0 1 NaN']);
  });

  test('a step that remembers is told where a sensor has no value; its fault there is counted, too', () => {
    const seen: string[] = [];
    const gone = (channel: number, at: number): void => {
      seen.push(`${channel} ${at}`);
      if (at > 1) throw new Error('no');
    };
    const make = () => ({ reading: () => 1, gone });
    const { gone: tell, bad } = chain({ type: extension(undefined, { make }) });
    tell(1, 1);
    tell(1, 2);
    assert.deepEqual(seen, ['1 1', '1 2']);
    assert.equal(bad.length, 1);
  });

  test('a record of another shape, a name that is taken, and one that makes no transform are refused', () => {
    assert.throws(() => TRANSFORMS.add('x', { make: () => 1 }), /transform "x"\.about/);
    assert.throws(() => TRANSFORMS.add('x', { about: 'x', make: 3 }), /transform "x"\.make: expected a function/);
    assert.throws(() => TRANSFORMS.add('scale', { about: 'x', make: () => 1 }), /the name is taken/);
    assert.throws(() => chain({ type: extension(undefined) }), /makes has no reading/);
    const make = (): never => {
      throw new Error('not today');
    };
    assert.throws(() => chain({ type: extension(undefined, { make }) }), /\(test-\d+\) can't be made: not today/);
  });

  test('the digest is that of the settings, and empty without', () => {
    assert.equal(transformsDigest([]), '');
    assert.notEqual(transformsDigest([{ type: 'scale', a: 1 }]), transformsDigest([{ type: 'scale', a: 2 }]));
  });
});
