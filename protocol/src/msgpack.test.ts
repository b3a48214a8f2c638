import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from './errors.js';
import { decodeMessage, encodeMessage } from './messages.js';
import { pack, unpack } from './msgpack.js';

const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    // MessagePack writes -0 as the integer 0.
    fc.double({ noNaN: true }).map((d) => d + 0),
    fc.string(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

test('plain values survive a round trip', () => {
  fc.assert(fc.property(plain, (v) => assert.deepEqual(unpack(pack({ v })), { v })));
});

test('binary comes back as bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      const back = unpack(pack({ data })) as { data: Uint8Array };
      assert.deepEqual(new Uint8Array(back.data), data);
    }),
  );
});

test('random and damaged bytes give a typed refusal or a value, never another error', () => {
  const refused = (bytes: Uint8Array): void => {
    try {
      unpack(bytes);
    } catch (error) {
      assert.ok(error instanceof ProtocolError && error.reason === 'not-messagepack', String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refused), { numRuns: 5000 });
  const good = pack({ a: [1, 2, { b: 'text' }], data: new Uint8Array(50) });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const bad = Uint8Array.from(good);
      bad[at] = byte;
      refused(bad);
      refused(good.subarray(0, at));
    }),
    { numRuns: 2000 },
  );
});

test('a few bytes that declare huge or deep structures cost nothing', () => {
  const bombs = [
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0x7f, 0xff, 0xff, 0xff],
    [0xc6, 0xff, 0xff, 0xff, 0xff],
    [0xdb, 0xff, 0xff, 0xff, 0xff],
    Array(1000).fill(0x91),
    Array.from({ length: 200 }, () => [0xdd, 0x00, 0xff, 0xff, 0xff]).flat(),
  ];
  const before = process.memoryUsage().heapUsed;
  for (const bomb of bombs) {
    assert.throws(
      () => unpack(Uint8Array.from(bomb)),
      (e) => e instanceof ProtocolError && e.reason === 'not-messagepack',
    );
  }
  assert.ok(process.memoryUsage().heapUsed - before < 20e6);
});

const receipt = { id: null, status: 'accepted', round: 3 } as const;

test('a message round-trips and says its version', () => {
  const bytes = encodeMessage('receipt', receipt);
  assert.deepEqual(decodeMessage('receipt', bytes), { v: 1, type: 'receipt', ...receipt });
});

test('wrong version, wrong type, missing, extra large and non-finite fields are refused by name', () => {
  const reject = (value: unknown, reason: string, about: RegExp): void => {
    assert.throws(
      () => decodeMessage('receipt', pack(value)),
      (e) => e instanceof ProtocolError && e.reason === reason && about.test(e.message),
    );
  };
  reject({ v: 2, type: 'receipt', ...receipt }, 'schema-version', /2.*speaks 1/);
  reject({ v: 1, type: 'status', ...receipt }, 'schema', /type/);
  reject({ v: 1, type: 'receipt', status: 'accepted', round: 1 }, 'schema', /id/);
  reject({ v: 1, type: 'receipt', ...receipt, round: Number.NaN }, 'schema', /round/);
  reject([1, 2, 3], 'schema', /map/);
  assert.throws(
    () => decodeMessage('receipt', new Uint8Array(11), 10),
    (e) => (e as ProtocolError).reason === 'too-large',
  );
  const metrics = { edge: 'e', model: 'm', event: 'trained', round: 1, version: 1 } as const;
  assert.throws(
    () => encodeMessage('metrics', { ...metrics, values: { loss: Number.POSITIVE_INFINITY } }),
    ProtocolError,
  );
});
