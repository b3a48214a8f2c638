import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from './errors.js';
import { decodeMessage, encodeMessage, type RoundMessage } from './messages.js';
import { canonicalJson, checkSigned, encodeSigned, enrolmentProof, isSignedBy, Signer, tokenHash } from './signing.js';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

describe('signatures', () => {
  test('RFC 8032, 7.1: test 2', () => {
    const seed = '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb';
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex').toString('base64');
    const signer = Signer.fromPem(`-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`);
    assert.equal(signer.key, '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
    assert.equal(
      Buffer.from(signer.sign(hex('72'))).toString('hex'),
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
  });

  test('a key survives its PEM, and only its own signature passes', () => {
    const [a, b] = [Signer.generate(), Signer.generate()];
    assert.equal(Signer.fromPem(a.toPem()).key, a.key);
    const bytes = hex('0102');
    assert.ok(isSignedBy(a.key, bytes, a.sign(bytes)));
    assert.ok(!isSignedBy(b.key, bytes, a.sign(bytes)));
    assert.ok(!isSignedBy(a.key, hex('0103'), a.sign(bytes)));
    assert.ok(!isSignedBy(a.key, bytes, new Uint8Array(3)));
    assert.ok(!isSignedBy('zz', bytes, a.sign(bytes)));
  });

  test('canonical JSON is that of RFC 8785', () => {
    const value = { b: [1, 2.5, 1e21, -0], a: { y: null, x: 'é"\n' }, c: undefined, A: true };
    assert.equal(canonicalJson(value), '{"A":true,"a":{"x":"é\\"\\n","y":null},"b":[1,2.5,1e+21,0]}');
    fc.assert(
      fc.property(fc.jsonValue(), (v) => {
        assert.deepEqual(JSON.parse(canonicalJson(v)), JSON.parse(JSON.stringify(v)));
      }),
    );
  });

  test('a signed message passes; with any field changed it does not', () => {
    const signer = Signer.generate();
    const body = {
      model: 'm',
      round: 3,
      state: 'open' as const,
      base: { version: 2, sha256: 'a'.repeat(64) },
      openedAt: 1,
      deadlineAt: 2,
      hyper: { epochs: 1, learningRate: 0.05, momentum: 0.9, seed: 1 },
      codec: { name: 'range', options: { step: 2 } },
    };
    const message = decodeMessage('round', encodeSigned('round', body, signer));
    checkSigned(message);
    const changed: Partial<RoundMessage>[] = [
      { round: 4 },
      { deadlineAt: 3 },
      { hyper: { ...body.hyper, learningRate: 5 } },
      { codec: { name: 'range', options: { step: 3 } } },
      { key: Signer.generate().key },
    ];
    for (const change of changed) {
      const forged = decodeMessage('round', encodeMessage('round', { ...message, ...change }));
      assert.throws(
        () => checkSigned(forged),
        (e) => e instanceof ProtocolError && e.reason === 'bad-signature',
        JSON.stringify(change),
      );
    }
  });

  test('the proof of a token binds edge and key', () => {
    const proof = (token: string, edge: string, key: string): string => enrolmentProof(tokenHash(token), edge, key);
    const [k, l] = ['1'.repeat(64), '2'.repeat(64)];
    assert.equal(proof('t', 'e', k), proof(' t\n', 'e', k));
    assert.equal(new Set([proof('t', 'e', k), proof('u', 'e', k), proof('t', 'f', k), proof('t', 'e', l)]).size, 4);
  });
});
