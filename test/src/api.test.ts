import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERRORS } from '@ecavg/protocol/errors';
import { Validator } from '@seriousme/openapi-schema-validator';
import { withFleet } from './harness.js';

type Json = Record<string, unknown>;

const printed = async (line: Promise<string>): Promise<string> => (await line).trim();

test('the HTTP API: who may do what, and what it says it does', () =>
  withFleet(2, async (fleet) => {
    await fleet.broker();
    const { child, events } = await fleet.cloud({ rounds: { count: 2 }, http: { port: 0 } });
    events.close();
    const url = String(child.ready.dashboard);
    const token = {
      viewer: await printed(fleet.cloudCommand('api-token', 'add', 'screen', '--role', 'viewer')),
      operator: await printed(fleet.cloudCommand('api-token', 'add', 'script', '--role', 'operator')),
    };
    const ask = async (path: string, init: RequestInit & { as?: string } = {}): Promise<[number, Json, Response]> => {
      const { as, headers, ...rest } = init;
      const response = await fetch(`${url}${path}`, {
        ...rest,
        headers: { ...(as && { authorization: `Bearer ${as}` }), ...(headers as Record<string, string>) },
      });
      const text = await response.text();
      const isJson = (response.headers.get('content-type') ?? '').startsWith('application/json');
      const body = text && isJson ? (JSON.parse(text) as Json) : {};
      if (response.status >= 400) assert.ok(String(body.code) in ERRORS, `${path}: every refusal has a code: ${text}`);
      return [response.status, body, response];
    };
    const post = (path: string, body: unknown, init: RequestInit & { as?: string } = {}) =>
      ask(path, {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string>) },
      });
    for (let i = 0; i < 2; i++) await fleet.edge(i);

    // The stream of events, with a token, until both rounds are over.
    const stream = await fetch(`${url}/api/v1/events`, { headers: { authorization: `Bearer ${token.viewer}` } });
    let seen = '';
    for await (const part of (stream.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
      seen += part;
      if (seen.includes('"type":"finished"')) break;
    }

    const spec = (await ask('/api/v1/openapi.json'))[1] as { paths: Record<string, Record<string, unknown>> };
    const { valid, errors } = await new Validator().validate(structuredClone(spec));
    assert.ok(valid, JSON.stringify(errors));
    assert.equal(JSON.stringify(spec).includes(fleet.folder), false);

    // Every path that the description lists is closed to strangers, but for the sign-in itself.
    for (const [path, methods] of Object.entries(spec.paths))
      for (const method of Object.keys(methods)) {
        const real = path.replace('{version}', '2').replace('{measurement}', 'ecavg_round');
        const [status] = await (method === 'get' ? ask(real) : post(real, {}, { method: method.toUpperCase() }));
        const expected = path === '/api/v1/session' ? { get: 401, post: 400, delete: 204 }[method] : 401;
        assert.equal(status, expected, `${method} ${path}`);
        if (method === 'get' && !path.endsWith('/events'))
          assert.equal((await ask(real, { as: token.viewer }))[0], 200, `a viewer: ${method} ${path}`);
        if (path.includes('/control/')) {
          assert.equal((await post(real, {}, { as: token.viewer }))[0], 403, `a viewer: ${method} ${path}`);
        }
      }
    assert.equal((await ask('/metrics'))[0], 401);
    assert.equal((await ask('/metrics', { as: token.viewer }))[0], 200);
    assert.equal((await ask('/healthz'))[0], 200);
    assert.equal((await ask('/api/v1/models', { as: `${token.viewer}x` }))[0], 401);

    const [, rounds] = await ask('/api/v1/rounds?limit=1', { as: token.viewer });
    const [newest = {}, ...more] = rounds.rounds as Json[];
    assert.equal(more.length, 0);
    assert.deepEqual([newest.round, (newest.accepted as string[]).toSorted()], [2, ['edge-0', 'edge-1']]);
    assert.equal(newest.float32Bytes, 2 * 101_770 * 4);
    assert.ok((newest.accuracy as number) > 0.8 && (newest.previous as number) > 0.5, JSON.stringify(newest));
    const [, fleets] = await ask('/api/v1/fleets', { as: token.viewer });
    assert.match(JSON.stringify(fleets), /"fleet":"plant","models":\[\{"fleet":"plant","model":"digits","version":3/);

    // Commands: carried out once, refused with a reason where they can't be.
    const [status, done] = await post('/api/v1/control/rollback', { version: 2 }, { as: token.operator });
    assert.equal(status, 200);
    assert.match(String(done.text), /version 4, with the weights of version 2/);
    const [conflict, why] = await post('/api/v1/control/rollback', { version: 99 }, { as: token.operator });
    assert.deepEqual([conflict, /no version 99/.test(String(why.error))], [409, true]);
    assert.equal((await post('/api/v1/control/pin', { version: 'x' }, { as: token.operator }))[0], 400);
    assert.equal((await post('/api/v1/control/pin?model=none', {}, { as: token.operator }))[0], 404);
    assert.equal((await ask('/api/v1/control/unpin', { method: 'POST', as: token.operator }))[0], 200, 'no body');
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    assert.equal((await post('/api/v1/control/pin', {}, { as: token.operator, headers: form }))[0], 415);
    assert.equal((await ask('/api/v1/versions/1000/model.onnx', { as: token.viewer }))[0], 404);
    assert.equal((await ask('/api/v1/nothing', { as: token.viewer }))[0], 404);

    // A session: its cookie is for this site's own pages alone, and it ends with the user.
    const password = await printed(fleet.cloudCommand('user', 'add', 'anna', '--role', 'operator'));
    const [signed, who, response] = await post('/api/v1/session', { name: 'anna', password });
    assert.deepEqual([signed, who.role], [200, 'operator']);
    const set = response.headers.get('set-cookie') ?? '';
    for (const flag of ['HttpOnly', 'SameSite=Strict', 'Path=/']) assert.ok(set.includes(flag), set);
    const cookie = set.split(';')[0] ?? '';
    const foreign = { cookie, origin: 'http://evil.example' };
    assert.equal((await post('/api/v1/control/pin', {}, { headers: foreign }))[0], 403);
    assert.equal((await post('/api/v1/control/pin', {}, { headers: { cookie, origin: url } }))[0], 200);
    const stillSigned = {
      name: 'anna',
      password: await printed(fleet.cloudCommand('user', 'add', 'anna', '--role', 'viewer')),
    };
    assert.equal((await ask('/api/v1/state', { headers: { cookie } }))[0], 401, 'a new password ends the session');
    const [, , again] = await post('/api/v1/session', stillSigned);
    const second = (again.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    assert.equal((await ask('/api/v1/state', { headers: { cookie: second } }))[0], 200);
    assert.equal((await post('/api/v1/control/unpin', {}, { headers: { cookie: second, origin: url } }))[0], 403);
    const following = await fetch(`${url}/api/v1/events`, { headers: { cookie: second } });
    await fleet.cloudCommand('user', 'remove', 'anna');
    assert.equal((await ask('/api/v1/state', { headers: { cookie: second } }))[0], 401);
    // An open stream ends too, at its next beat.
    await following.text();
    await fleet.cloudCommand('api-token', 'remove', 'screen');
    assert.equal((await ask('/api/v1/state', { as: token.viewer }))[0], 401);

    // Guessing is slowed down, and no secret is in the log or readable by others.
    const tries: number[] = [];
    for (let i = 0; i < 12; i++)
      tries.push((await post('/api/v1/session', { name: 'operator', password: `p${i}` }))[0]);
    assert.ok(tries.includes(401) && tries.at(-1) === 429, tries.join());
    const log = readFileSync(join(fleet.folder, 'logs', 'cloud.log'), 'utf8');
    const first = readFileSync(join(fleet.folder, 'cloud', 'http', 'first-password'), 'utf8').trim();
    for (const secret of [first, password, token.viewer, token.operator]) assert.ok(!log.includes(secret));
    for (const name of ['accounts.json', 'first-password'])
      assert.equal(statSync(join(fleet.folder, 'cloud', 'http', name)).mode & 0o077, 0, name);
  }));

test('anonymous operators are for the loopback address', () =>
  withFleet(1, async (fleet) => {
    await fleet.broker();
    await assert.rejects(
      fleet.cloud({ http: { host: '0.0.0.0', port: 0, anonymous: 'operator' } }),
      /http\.anonymous[\s\S]*ecavg cloud user add/,
    );
    const { child } = await fleet.cloud({ http: { port: 0, anonymous: 'operator' } });
    const { port } = new URL(String(child.ready.dashboard));
    const statusFor = (host: string): Promise<number> =>
      new Promise((resolve, reject) => {
        request({ port, host: '127.0.0.1', path: '/api/v1/state', headers: { host } }, (r) => {
          r.resume();
          resolve(r.statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
    // A page elsewhere whose name leads here (DNS rebinding) is nobody.
    assert.deepEqual([await statusFor(`localhost:${port}`), await statusFor('evil.example')], [200, 401]);
  }));
