import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { decodeMessage, encodeSigned, ProtocolError, type RoundMessage, Signer } from '@ecavg/protocol';
import { Trust } from './trust.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-trust-'));
after(() => rmSync(root, { recursive: true }));
const [cloud, other] = [Signer.generate(), Signer.generate()];

function round(number: number, signer: Signer): RoundMessage {
  const body = {
    model: 'm',
    round: number,
    state: 'open' as const,
    base: { version: 1, sha256: 'a'.repeat(64) },
    openedAt: 1,
    deadlineAt: 2,
    hyper: { epochs: 1, learningRate: 0.1, momentum: 0, seed: 0 },
    codec: { name: 'raw', options: {} },
  };
  return decodeMessage('round', encodeSigned('round', body, signer));
}
const because = (reason: string) => (e: unknown) => e instanceof ProtocolError && e.reason === reason;

describe('whom an edge trusts', () => {
  test('the first cloud it sees, also after a restart, and no other', async () => {
    const folder = join(root, 'first');
    const trust = await Trust.open(folder, undefined);
    trust.check(round(1, cloud));
    await trust.remember(round(1, cloud));
    const again = await Trust.open(folder, undefined);
    assert.throws(() => again.check(round(2, other)), because('bad-signature'));
    again.check(round(2, cloud));
  });

  test('the cloud in its settings from the start', async () => {
    const trust = await Trust.open(join(root, 'configured'), cloud.key);
    assert.throws(() => trust.check(round(1, other)), because('bad-signature'));
    trust.check(round(1, cloud));
  });

  test('no message with a broken signature, and none that is older than what it has seen', async () => {
    const folder = join(root, 'replay');
    const trust = await Trust.open(folder, undefined);
    assert.throws(() => trust.check({ ...round(1, cloud), deadlineAt: 9 }), because('bad-signature'));
    await trust.remember(round(5, cloud));
    assert.throws(() => trust.check(round(4, cloud)), because('replay'));
    trust.check(round(5, cloud));
    const again = await Trust.open(folder, undefined);
    assert.throws(() => again.check(round(4, cloud)), because('replay'));
  });
});
