import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readArtifact } from '@ecavg/models';
import {
  checkSigned,
  codec,
  decodeMessage,
  decodeShare,
  decodeUpdate,
  encodeMessage,
  encodeShare,
  encodeSigned,
  encodeUpdate,
  type MessageType,
  pack,
  Signer,
  sha256Hex,
} from '@ecavg/protocol';
import { RELEASE } from './releaseFleet.js';

const bytesOf = (...path: string[]): Uint8Array => Uint8Array.from(readFileSync(join(RELEASE, ...path)));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const signerOf = (...path: string[]): Signer => Signer.fromPem(readFileSync(join(RELEASE, ...path), 'utf8'));
const SIGNERS: Readonly<Record<string, Signer>> = {
  north: signerOf('region', 'keys', 'cloud.pem'),
  ...Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`edge-${i}`, signerOf(`edge-${i}`, 'key.pem')])),
};
const signer = (edge: string): Signer => {
  const found = SIGNERS[edge];
  assert.ok(found, edge);
  return found;
};
const cloud = signerOf('cloud', 'keys', 'cloud.pem');

/** Messages that release 0.1.0 sent, by their kind; what is no MessagePack has none. */
const RECORDED = (JSON.parse(readFileSync(join(RELEASE, 'wire', 'topics.json'), 'utf8')) as { file: string }[]).map(
  ({ file }) => ({ file, kind: file.replace(/^canary/, 'manifest').split(/[-.]/)[0] ?? '' }),
);
const OTHER = ['chunk.bin', 'chunk-empty.bin', 'onnx.bin', 'request-json.bin', 'result-json.bin'];

describe('messages of release 0.1.0', () => {
  for (const { file, kind } of RECORDED.filter((r) => !OTHER.includes(r.file)))
    test(file, () => {
      const payload = bytesOf('wire', file);
      const message = decodeMessage(kind as MessageType, payload);
      assert.equal(hex(pack(message)), hex(payload), 'what is read is what was said');
      const { v: _, type: __, ...body } = message;
      assert.equal(hex(encodeMessage(kind as MessageType, body as never)), hex(payload));
    });

  for (const { file, kind } of RECORDED.filter((r) => ['manifest', 'round'].includes(r.kind)))
    test(`${file} is signed, and signed alike today`, () => {
      const message = decodeMessage(kind as 'manifest' | 'round', bytesOf('wire', file));
      checkSigned(message);
      const { v: _, type, key, signature: __, ...body } = message;
      const by = key === cloud.key ? cloud : signer('north');
      assert.equal(hex(encodeSigned(type, body as never, by)), hex(bytesOf('wire', file)));
    });

  for (const [file, edge, model] of [
    ['update-range.bin', 'edge-5', ['fleets', 'other', 'models', 'valves']],
    ['update-topk.bin', 'edge-4', ['models', 'valves']],
    ['update-region.bin', 'north', ['models', 'bearings']],
  ] as const)
    test(`the update in ${file}`, async () => {
      const { id, count, data } = decodeMessage('update', bytesOf('wire', file));
      assert.deepEqual([count, sha256Hex(data)], [1, id]);
      const { header, payload } = decodeUpdate(data);
      const { key: _, ...about } = header;
      assert.equal(hex(encodeUpdate(about, payload, signer(edge))), hex(data));
      const blob = (sha256: string) => bytesOf('cloud', ...model, 'blobs', `${sha256}.blob`);
      const index = JSON.parse(readFileSync(join(RELEASE, 'cloud', ...model, 'index.json'), 'utf8')) as {
        versions: { train: string }[];
      };
      const { layout } = readArtifact(blob(header.base), blob(index.versions[0]?.train ?? ''));
      assert.equal(layout.hash, header.layout);
      const coder = codec(header.codec);
      coder.check(payload, layout);
      const values = new Float32Array(layout.total);
      coder.accumulate(payload, layout, 1, values);
      assert.ok(values.some((v) => v !== 0) && values.every(Number.isFinite));
    });

  for (const [file, edge, classes] of [
    ['share-samples.bin', 'edge-1', 2],
    ['share-features.bin', 'edge-4', 2],
  ] as const)
    test(`what is shared in ${file}`, () => {
      const { id, count, data } = decodeMessage('share', bytesOf('wire', file));
      assert.deepEqual([count, sha256Hex(data)], [1, id]);
      const { header, shared } = decodeShare(data, classes);
      const { key: _, ...about } = header;
      assert.equal(hex(encodeShare(about, shared, signer(edge))), hex(data));
    });

  test('plain JSON of sensors', () => {
    for (const file of ['request-json.bin', 'result-json.bin'])
      assert.equal(typeof JSON.parse(Buffer.from(bytesOf('wire', file)).toString('utf8')), 'object');
  });
});
