import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { enrolmentProof, ProtocolError, type RejectReason, tokenHash } from '@ecavg/protocol';
import { EdgeKeys } from './edgeKeys.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-keys-'));
after(() => rmSync(root, { recursive: true }));

const [k, l] = ['1'.repeat(64), '2'.repeat(64)] as [string, string];
const HOUR = 3_600_000;
const because = (reason: RejectReason) => (e: unknown) => e instanceof ProtocolError && e.reason === reason;
const request = (edge: string, key: string, token: string) => ({
  edge,
  key,
  proof: enrolmentProof(tokenHash(token), edge, key),
});

describe('keys of edges', () => {
  test('open: the first key is kept, across restarts, and another is refused until the edge is forgotten', async () => {
    const folder = join(root, 'open');
    await new EdgeKeys(folder).check('a', k);
    const keys = new EdgeKeys(folder);
    await keys.check('a', k);
    await assert.rejects(keys.check('a', l), because('bad-signature'));
    await keys.check('b', l);
    assert.ok(await keys.revoke('a', false));
    await assert.rejects(keys.check('a', k), because('unknown-edge'));
    assert.ok(await keys.revoke('a', true));
    await keys.check('a', l);
    assert.equal(await keys.revoke('nobody', false), false);
    assert.deepEqual(
      (await keys.list()).map((e) => [e.edge, e.key, e.how]),
      [
        ['a', l, 'first-use'],
        ['b', l, 'first-use'],
      ],
    );
  });

  test('token: an edge is unknown until it shows its token, which works once, in time, and for its edge', async () => {
    const keys = new EdgeKeys(join(root, 'token'), 'token');
    await assert.rejects(keys.check('a', k), because('unknown-edge'));
    const token = await keys.token('a', Date.now() + HOUR);
    await assert.rejects(keys.enrol(request('b', k, token)), because('bad-token'));
    await assert.rejects(keys.enrol(request('a', k, 'guess')), because('bad-token'));
    await assert.rejects(keys.enrol({ ...request('a', k, token), key: l }), because('bad-token'));
    await keys.enrol(request('a', k, token));
    await keys.check('a', k);
    // The receipt was lost, and the edge asks again; another key with the used token does not pass.
    await keys.enrol(request('a', k, token));
    await assert.rejects(keys.enrol(request('a', l, token)), because('bad-token'));
    const late = await keys.token(null, Date.now() - 1);
    await assert.rejects(keys.enrol(request('c', k, late)), because('bad-token'));
    const any = await keys.token(null, Date.now() + HOUR);
    await keys.enrol(request('c', l, any));
    await keys.check('c', l);
  });

  test('an edge that enrols with a new key replaces its old one, and one that was revoked can come back so', async () => {
    const keys = new EdgeKeys(join(root, 'again'), 'token');
    await keys.enrol(request('a', k, await keys.token('a', Date.now() + HOUR)));
    await keys.revoke('a', false);
    await keys.enrol(request('a', l, await keys.token('a', Date.now() + HOUR)));
    await keys.check('a', l);
    await assert.rejects(keys.check('a', k), because('bad-signature'));
  });
});
