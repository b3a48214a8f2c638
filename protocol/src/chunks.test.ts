import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlobAssembler, chunksIn, edgeChunks, UpdateAssembler } from './chunks.js';
import { ProtocolError } from './errors.js';
import { makeLayout } from './layout.js';
import { decodeMessage, encodeMessage, type UpdateChunk } from './messages.js';
import { Signer } from './signing.js';
import { decodeUpdate, encodeUpdate, type UpdateHeader } from './update.js';

const about = { edge: 'e1', model: 'm', round: 1, base: 'b'.repeat(64) };
const wire = (chunks: Omit<UpdateChunk, 'v' | 'type'>[]): UpdateChunk[] =>
  chunks.map((c) => decodeMessage('update', encodeMessage('update', c)));
const reason = (f: () => unknown): string => {
  try {
    f();
    return 'none';
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return error.reason;
  }
};

test('chunks in any order, some twice, give the blob back once', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 500 }),
      fc.integer({ min: 1, max: 100 }),
      fc.infiniteStream(fc.nat()),
      (blob, size, order) => {
        const chunks = wire(edgeChunks(blob, about, size));
        const shuffled = [...chunks, ...chunks.slice(0, -1)]
          .map((c) => ({ c, key: order.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ c }) => c);
        const assembler = new UpdateAssembler(1000);
        const whole: Uint8Array[] = [];
        for (const c of shuffled) {
          const r = assembler.add(c);
          if ('blob' in r) {
            whole.push(r.blob);
            break;
          }
          assert.ok(r.missing.length > 0);
        }
        assert.equal(whole.length, 1);
        assert.deepEqual(whole[0], blob);
      },
    ),
  );
});

test('two edges may send at once', () => {
  const [a, b] = [new Uint8Array(100).fill(1), new Uint8Array(90).fill(2)];
  const [ca, cb] = [wire(edgeChunks(a, about, 40)), wire(edgeChunks(b, { ...about, edge: 'e2' }, 40))];
  const assembler = new UpdateAssembler(1000);
  for (const c of [ca[0], cb[0], ca[1], cb[1]]) assert.ok('missing' in assembler.add(c as UpdateChunk));
  assert.deepEqual(assembler.add(ca[2] as UpdateChunk), { blob: a });
  assert.deepEqual(assembler.add(cb[2] as UpdateChunk), { blob: b });
});

test('lies about sizes, indices, contents and ids are refused by reason', () => {
  const [first, second] = wire(edgeChunks(new Uint8Array(100).fill(7), about, 60)) as [UpdateChunk, UpdateChunk];
  const fresh = () => new UpdateAssembler(1000);
  assert.equal(
    reason(() => fresh().add({ ...first, size: 1e9 })),
    'too-large',
  );
  assert.equal(
    reason(() => fresh().add({ ...first, index: 5 })),
    'chunk-conflict',
  );
  assert.equal(
    reason(() => fresh().add({ ...first, count: 90 })),
    'chunk-conflict',
  );
  assert.equal(
    reason(() => fresh().add({ ...first, crc: first.crc ^ 1 })),
    'crc-mismatch',
  );
  const disagreeing = fresh();
  disagreeing.add(first);
  assert.equal(
    reason(() => disagreeing.add({ ...second, size: 101 })),
    'chunk-conflict',
  );
  const wrongId = fresh();
  wrongId.add({ ...first, id: 'a'.repeat(64) });
  assert.equal(
    reason(() => wrongId.add({ ...second, id: 'a'.repeat(64) })),
    'hash-mismatch',
  );
});

test('an edge that opens many transfers loses its own oldest, and no one else’s', () => {
  const assembler = new UpdateAssembler(1000, 2);
  const other = wire(edgeChunks(new Uint8Array(100).fill(9), { ...about, edge: 'e2' }, 60)) as [
    UpdateChunk,
    UpdateChunk,
  ];
  assembler.add(other[0]);
  const many = [1, 2, 3].map(
    (n) => wire(edgeChunks(new Uint8Array(100).fill(n), about, 60)) as [UpdateChunk, UpdateChunk],
  );
  for (const [first] of many) assembler.add(first);
  assert.ok('missing' in assembler.add((many[0] as [UpdateChunk, UpdateChunk])[1]));
  assert.ok('blob' in assembler.add(other[1]));
});

const signer = Signer.generate();
const header: UpdateHeader = {
  key: signer.key,
  fleet: 'f',
  edge: 'e1',
  model: 'm',
  round: 3,
  base: 'b'.repeat(64),
  codec: 'raw',
  layout: makeLayout([{ name: 'w', shape: [2] }]).hash,
  samples: 10,
  steps: 5,
  createdAt: 1,
  metrics: { loss: 0.5 },
};

test('an update blob gives its header and payload back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
      const back = decodeUpdate(encodeUpdate(header, payload, signer));
      assert.deepEqual(back.header, header);
      assert.deepEqual(Uint8Array.from(back.payload), payload);
    }),
  );
});

test('damaged update blobs are refused with a type', () => {
  const blob = encodeUpdate(header, new Uint8Array(20), signer);
  fc.assert(
    fc.property(fc.nat(blob.length - 1), fc.nat(255), (at, byte) => {
      const bad = Uint8Array.from(blob);
      bad[at] = byte;
      for (const b of [bad, blob.subarray(0, at)]) {
        const why = reason(() => decodeUpdate(b));
        const expected =
          b.length === blob.length && byte === blob[at]
            ? ['none']
            : ['payload', 'not-messagepack', 'schema', 'bad-signature'];
        assert.ok(expected.includes(why), why);
      }
    }),
    { numRuns: 2000 },
  );
});

test('the layout hash depends on names, shapes and order', () => {
  const [a, b] = [
    { name: 'a', shape: [2, 3] },
    { name: 'b', shape: [4] },
  ];
  const hash = makeLayout([a, b]).hash;
  assert.notEqual(hash, makeLayout([b, a]).hash);
  assert.notEqual(hash, makeLayout([{ ...a, shape: [3, 2] }, b]).hash);
  assert.notEqual(hash, makeLayout([{ ...a, name: 'c' }, b]).hash);
  assert.equal(hash, makeLayout([{ ...a }, { ...b }]).hash);
});

test('the bitmap names exactly the chunks that are missing', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.array(fc.nat(69)), (count, arrived) => {
      const assembler = new BlobAssembler({ sha256: 'a'.repeat(64), size: count * 3, chunkBytes: 3 });
      for (const i of arrived) if (i < count) assembler.add(i, new Uint8Array(3));
      const missing = [...Array(count).keys()].filter((i) => !arrived.includes(i));
      assert.deepEqual(chunksIn(assembler.missingBitmap(), count), missing);
    }),
  );
  assert.deepEqual(chunksIn(Uint8Array.of(0xff, 0xff), 3), [0, 1, 2], 'bits past the last chunk name none');
  assert.deepEqual(chunksIn(new Uint8Array(), 3), []);
});
