import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { FLEET, kill, withFleet } from './harness.js';
import { broker, secured } from './securedBroker.js';

/** The next event of a client, as its arguments. */
const next = (c: MqttClient, event: 'message' | 'close' | 'connect'): Promise<unknown[]> =>
  new Promise((resolve) => {
    c.once(event, (...args: unknown[]) => resolve(args));
  });

async function client(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const c = mqtt.connect(url, { protocolVersion: 4, reconnectPeriod: 0, ...options });
  c.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    c.once('connect', () => resolve());
    c.once('error', reject);
    c.once('close', () => reject(new Error('closed')));
  });
  return c;
}

describe('a broker with users, TLS and access control', () => {
  test('cloud and edges over TLS: by password, by one-time token, by certificate; nobody else gets in', () =>
    withFleet(3, async (fleet) => {
      const b = await secured(fleet);
      fleet.brokerUrl = b.mqtts.replace('127.0.0.1', 'localhost');
      const caFile = join(b.dir, 'ca.crt');
      const file = (name: string, text: string): string => {
        const path = join(fleet.folder, name);
        writeFileSync(path, `${text}\n`);
        return path;
      };
      const url = { url: fleet.brokerUrl, caFile, reconnectSeconds: 0.2 };
      const cloudPassword = file('cloud.txt', await b.user('cloud', 'cloud'));
      const { events } = await fleet.cloud({
        rounds: { count: 1 },
        broker: { ...url, username: 'cloud', passwordFile: cloudPassword },
      });
      const password = file('edge-0.txt', await b.user('edge-0', 'edge'));
      const config = join(b.dir, 'broker.yaml');
      const token = file(
        'token.txt',
        await broker('user', 'token', 'edge-1', '--config', config, '--role', 'edge', '--fleet', FLEET),
      );
      await b.user('edge-2', 'edge', '--certificate');
      const certFile = await broker('cert', 'edge-2', '--dir', b.dir);
      await Promise.all([
        fleet.edge(0, { broker: { ...url, passwordFile: password } }),
        fleet.edge(1, { broker: { ...url, enrolTokenFile: token } }),
        fleet.edge(2, { broker: { ...url, certFile, keyFile: certFile.replace('.crt', '.key') } }),
      ]);
      const { data } = await events.until('round-closed');
      assert.deepEqual((data.accepted as string[]).sort(), ['edge-0', 'edge-1', 'edge-2']);
      await events.until('finished');

      const ca = readFileSync(caFile);
      const admin = { username: 'admin', password: b.admin, ca };
      for (const wrong of [{ ca }, { ...admin, password: 'guess' }, { ...admin, username: 'nobody' }])
        await assert.rejects(client(fleet.brokerUrl, wrong), /Not authorized|Bad user|Connection refused/i);
      await assert.rejects(client(fleet.brokerUrl, { ...admin, ca: Buffer.from('') }), /certificate|issuer/i);
      // Over a secure WebSocket as well.
      const web = await client(b.wss.replace('127.0.0.1', 'localhost'), admin);
      await web.endAsync();
      // An edge may write its own topics only: anything else closes its connection.
      const edge = await client(fleet.brokerUrl, {
        username: 'edge-0',
        password: readFileSync(password, 'utf8').trim(),
        ca,
      });
      const [granted] = await edge
        .subscribeAsync(`ecavg/v1/${FLEET}/edge/edge-1/receipt/+`)
        .catch(() => [{ qos: 128 }]);
      assert.equal(granted?.qos, 128);
      edge.publish(`ecavg/v1/${FLEET}/model/digits/manifest`, 'mine now', { qos: 1 });
      await next(edge, 'close');
      const figures = await (await fetch(`${b.metrics}/metrics`)).text();
      assert.match(figures, /ecavg_broker_refused_total\{what="publish"\} 1/);
      assert.match(figures, /ecavg_broker_clients \d/);
      assert.equal((await fetch(`${b.metrics}/healthz`)).status, 200);
    }));

  test('users and certificates change while it runs: who is removed is cut off, a new certificate is shown', () =>
    withFleet(1, async (fleet) => {
      const b = await secured(fleet);
      const ca = readFileSync(join(b.dir, 'ca.crt'));
      const password = await b.user('watcher', 'monitor');
      const url = b.mqtts.replace('127.0.0.1', 'localhost');
      const watcher = await client(url, { username: 'watcher', password, ca });
      const seen = next(watcher, 'message');
      await watcher.subscribeAsync('$SYS/broker/uptime');
      assert.equal((await seen)[0], '$SYS/broker/uptime');
      const serial = (c: MqttClient): string =>
        (c.stream as unknown as { getPeerCertificate(): { serialNumber: string } }).getPeerCertificate().serialNumber;
      const before = serial(watcher);
      await broker('cert', '--dir', b.dir, '--host', 'localhost');
      const gone = next(watcher, 'close');
      await broker('user', 'remove', 'watcher', '--config', join(b.dir, 'broker.yaml'));
      await gone;
      await assert.rejects(client(url, { username: 'watcher', password, ca }));
      const admin = await client(url, { username: 'admin', password: b.admin, ca });
      assert.notEqual(serial(admin), before);
      await admin.endAsync();
    }));
});

describe('what a broker keeps', () => {
  test('retained messages, sessions and what waits for them, across kill -9', () =>
    withFleet(1, async (fleet) => {
      const config = {
        listen: { port: 0 },
        persistence: { kind: 'disk', dataDir: join(fleet.folder, 'broker-data') },
      };
      const child = await fleet.daemon('broker', 'broker', config);
      const url = String(child.ready.url);
      const sleeper = { clientId: 'sleeper', clean: false };
      const first = await client(url, sleeper);
      await first.subscribeAsync('news/+', { qos: 1 });
      await first.endAsync();
      const writer = await client(url);
      await writer.publishAsync('kept', 'retained', { qos: 1, retain: true });
      for (let i = 0; i < 20; i++) await writer.publishAsync(`news/${i}`, String(i), { qos: 1 });
      await kill(child);
      const again = await fleet.daemon('broker', 'broker', { ...config, listen: { port: Number(child.ready.port) } });
      const back = mqtt.connect(String(again.ready.url), { ...sleeper, protocolVersion: 4 });
      const got: string[] = [];
      const all = new Promise<void>((resolve) => {
        back.on('message', (topic, payload) => {
          got.push(`${topic} ${payload}`);
          if (got.length === 20) resolve();
        });
      });
      const [connack] = (await next(back, 'connect')) as [{ sessionPresent: boolean }];
      assert.equal(connack.sessionPresent, true);
      await all;
      assert.deepEqual(
        got,
        [...Array(20).keys()].map((i) => `news/${i} ${i}`),
      );
      const kept = next(back, 'message');
      await back.subscribeAsync('kept');
      assert.equal(String((await kept)[1]), 'retained');
      await back.endAsync();
    }));

  test('told to stop while it reads for clients what it kept, it ends well', () =>
    withFleet(1, async (fleet) => {
      const dataDir = join(fleet.folder, 'kept');
      const start = () =>
        fleet.daemon('broker', 'broker', { listen: { port: 0 }, persistence: { kind: 'disk', dataDir } });
      const first = await start();
      const writer = await client(String(first.ready.url));
      for (let i = 0; i < 200; i++) await writer.publishAsync(`kept/${i}`, 'x'.repeat(3000), { qos: 1, retain: true });
      await writer.endAsync(true);
      let broker = first;
      for (let round = 0; round < 6; round++) {
        const readers = await Promise.all(
          Array.from({ length: 10 }, (_, i) => client(String(broker.ready.url), { clientId: `r${i}`, clean: false })),
        );
        const reading = new Promise<void>((done) => readers[0]?.once('message', () => done()));
        for (const r of readers) r.subscribe('#', { qos: 1 }, () => undefined);
        await reading;
        const gone = once(broker.process, 'exit');
        broker.process.kill('SIGTERM');
        assert.deepEqual(await gone, [0, null]);
        for (const r of readers) r.end(true);
        broker = await start();
      }
      assert.doesNotMatch(readFileSync(join(fleet.folder, 'logs', 'broker.log'), 'utf8'), /"level":60/);
    }));

  test('limits: a packet over the size, too many in a queue, too many connections, retained bytes', () =>
    withFleet(1, async (fleet) => {
      const child = await fleet.daemon('broker', 'broker', {
        listen: { port: 0 },
        metrics: { port: 0 },
        maxPayloadBytes: 1024,
        limits: { queuedMessages: 5, retainedBytes: 2048, connectionsPerAddress: 4 },
      });
      const url = String(child.ready.url);
      // A head that announces 200 MB: the connection is closed before they are sent.
      const raw = connect(Number(child.ready.port), '127.0.0.1');
      raw.on('error', () => undefined);
      await once(raw, 'connect');
      raw.write(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x5f));
      await once(raw, 'close');

      const sleeper = { clientId: 'sleeper', clean: false };
      const first = await client(url, sleeper);
      await first.subscribeAsync('q', { qos: 1 });
      await first.endAsync();
      const writer = await client(url);
      for (let i = 0; i < 9; i++) await writer.publishAsync('q', String(i), { qos: 1 });
      const back = mqtt.connect(url, { ...sleeper, protocolVersion: 4 });
      const got: string[] = [];
      back.on('message', (_, payload) => got.push(String(payload)));
      await next(back, 'connect');
      while (got.length < 5) await next(back, 'message');
      const figures = async (): Promise<string> => (await fetch(`${child.ready.metrics}/metrics`)).text();
      // Until the broker has its acknowledgements the queue is still full.
      while (!/ecavg_broker_queued_messages 0\n/.test(await figures())) await back.publishAsync('tick', '', { qos: 1 });
      await writer.publishAsync('q', 'last', { qos: 1 });
      while (!got.includes('last')) await next(back, 'message');
      assert.deepEqual(got, ['0', '1', '2', '3', '4', 'last']);

      for (const topic of ['a', 'b']) await writer.publishAsync(topic, 'x'.repeat(1000), { qos: 1, retain: true });
      const closed = next(writer, 'close');
      writer.publish('c', 'x'.repeat(1000), { qos: 1, retain: true });
      await closed;

      const others = [await client(url), await client(url), await client(url)];
      await assert.rejects(client(url));
      const text = await figures();
      assert.match(text, /ecavg_broker_queue_dropped_total 4/);
      assert.match(text, /refused_total\{what="packet"\} 1/);
      assert.match(text, /refused_total\{what="address"\} 1/);
      for (const c of [back, ...others]) await c.endAsync();
    }));
});
