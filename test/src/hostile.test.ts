import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Random } from '@ecavg/models';
import mqtt, { type MqttClient } from 'mqtt';
import { checkInvariants } from './chain.js';
import { FLEET, freePort, MODEL, type TestFleet, withFleet } from './harness.js';
import { paced } from './pace.js';
import { secured } from './securedBroker.js';
import { csvColumns, rows, stream, writeCsv } from './signals.js';

const EDGES = ['edge-0', 'edge-1'];
const BASE = `ecavg/v1/${FLEET}`;

interface Message {
  readonly topic: string;
  readonly payload: Buffer;
}

/** What an attacker on the network can send who has heard everything so far. */
class Attacker {
  readonly #random: Random;
  readonly sent: Record<string, number> = {};

  constructor(
    private readonly heard: readonly Message[],
    seed: number,
  ) {
    this.#random = new Random(seed, 'attacker');
  }

  next(): Message {
    const kinds = ['noise', 'replay', 'bent', 'cut', 'elsewhere', 'oversize', 'strange-topic', 'json'] as const;
    const kind = kinds[this.#random.int(kinds.length)] as (typeof kinds)[number];
    this.sent[kind] = (this.sent[kind] ?? 0) + 1;
    const old = this.#pick(this.heard);
    switch (kind) {
      case 'noise':
        return { topic: this.#topic(), payload: this.#bytes(1 + this.#random.int(400)) };
      case 'replay':
        return old;
      case 'bent': {
        const payload = Buffer.from(old.payload);
        for (let i = 0; i < 3 && payload.length > 0; i++)
          payload[this.#random.int(payload.length)] = this.#random.int(256);
        return { topic: old.topic, payload };
      }
      case 'cut':
        return { topic: old.topic, payload: old.payload.subarray(0, this.#random.int(old.payload.length + 1)) };
      case 'elsewhere':
        return { topic: this.#topic(), payload: old.payload };
      case 'oversize':
        return { topic: this.#topic(), payload: this.#bytes(100_000 + this.#random.int(100_000)) };
      case 'strange-topic':
        return {
          topic: `${BASE}/edge/${'x'.repeat(this.#random.int(90))}/${this.#pick(['..', 'update', 'ü', '-'])}`,
          payload: old.payload,
        };
      case 'json':
        return {
          topic: this.#topic(),
          payload: Buffer.from(JSON.stringify({ id: 1, x: ['1', null], at: 'never', values: [{ v: 'x' }], temp: {} })),
        };
    }
  }

  #topic(): string {
    const edge = this.#pick([...EDGES, 'nobody']);
    return this.#pick([
      ...['status', 'metrics', 'enrol', `update/${MODEL}`, `share/${MODEL}`, `infer/${MODEL}/request`].map(
        (t) => `${BASE}/edge/${edge}/${t}`,
      ),
      ...['manifest', 'round', 'canary', 'onnx', 'chunk/0123456789ab/0'].map((t) => `${BASE}/model/${MODEL}/${t}`),
      'factory/press-2/data',
    ]);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.int(of.length)] as T;
  }

  #bytes(length: number): Buffer {
    return Buffer.from(Uint8Array.from({ length }, () => this.#random.int(256)));
  }
}

const LIMIT_BYTES = 150_000;

/** Sends one message, and waits for the broker's acknowledgement; for one that it throws clients out for, until it has. */
async function send(client: MqttClient, url: string, { topic, payload }: Message): Promise<void> {
  if (payload.length <= LIMIT_BYTES) {
    await client.publishAsync(topic, payload, { qos: 1 });
    return;
  }
  const once = await mqtt.connectAsync(url, { reconnectPeriod: 0, protocolVersion: 4 });
  once.on('error', () => undefined);
  await new Promise<void>((done) => {
    once.once('close', () => done());
    once.publish(topic, payload, { qos: 0 });
  });
}

async function startFleet(fleet: TestFleet): Promise<Awaited<ReturnType<TestFleet['cloud']>>> {
  const port = await freePort();
  await fleet.daemon('broker', 'broker', { listen: { port }, maxPayloadBytes: LIMIT_BYTES });
  fleet.brokerUrl = `mqtt://127.0.0.1:${port}`;
  const from = Date.UTC(2026, 10, 1);
  const folder = `${fleet.folder}/in`;
  writeCsv(folder, 'a.csv', rows(25, from, 1));
  const cloud = await fleet.cloud({
    data: { stream: stream(), reference: { files: [`${folder}/a.csv`], ...csvColumns } },
    rounds: { count: 0, intervalSeconds: 1, quorum: 1, deadlineSeconds: 30, pretrainEpochs: 2, epochs: 1 },
    fineTune: { epochs: 1 },
  });
  for (const i of EDGES.keys())
    await fleet.edge(i, {
      data: {
        stream: stream(),
        minSamples: 10,
        sources: [
          { type: 'csv', path: `${folder}/a.csv`, ...csvColumns },
          {
            type: 'mqtt-json',
            topic: 'factory/+/data',
            time: { path: '$.at', format: 's' },
            channels: { vibration: '$.values[*].v', temperature: '$.temp' },
          },
        ],
      },
    });
  return cloud;
}

test('a gateway’s own login opens nothing but its own topics: 300 attempts', () =>
  withFleet(1, async (fleet) => {
    const b = await secured(fleet);
    const url = b.mqtts.replace('127.0.0.1', 'localhost');
    const ca = readFileSync(join(b.dir, 'ca.crt'));
    const password = await b.user('edge-0', 'edge');
    const admin = await mqtt.connectAsync(url, { username: 'admin', password: b.admin, ca });
    const leaked: string[] = [];
    admin.on('message', (topic) => leaked.push(topic));
    await admin.subscribeAsync('ecavg/#', { qos: 1 });
    const random = new Random(9, 'unauthorised');
    const foreign = [
      `model/${MODEL}/manifest`,
      `model/${MODEL}/round`,
      `model/${MODEL}/chunk/0123456789ab/0`,
      'edge/edge-1/status',
      `edge/edge-1/update/${MODEL}`,
      `edge/edge-0/receipt/${MODEL}`,
      `edge/edge-1/receipt/${MODEL}`,
      'sensor/s/x',
    ].map((t) => `${BASE}/${t}`);
    const others = ['ecavg/v1/other/model/m/round', '$SYS/broker/uptime', 'anything'];
    const all = [...foreign, ...others];
    const attempts = Array.from({ length: 300 }, () => all[random.int(all.length)] as string);
    const attempt = async (topic: string): Promise<void> => {
      const c = await mqtt.connectAsync(url, {
        username: 'edge-0',
        password,
        ca,
        reconnectPeriod: 0,
        protocolVersion: 4,
        connectTimeout: paced(30_000),
      });
      c.on('error', () => undefined);
      await new Promise<void>((done) => {
        c.once('close', () => done());
        c.publish(topic, 'mine', { qos: 1, retain: true });
      });
    };
    // Several at a time: an attempt waits mostly for the broker, which checks the password in another thread.
    const lane = async (): Promise<void> => {
      for (let topic = attempts.pop(); topic !== undefined; topic = attempts.pop()) await attempt(topic);
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    const c = await mqtt.connectAsync(url, { username: 'edge-0', password, ca, protocolVersion: 4 });
    for (const filter of [
      '#',
      'ecavg/#',
      `${BASE}/#`,
      `${BASE}/edge/+/receipt/+`,
      `${BASE}/edge/edge-1/receipt/${MODEL}`,
    ]) {
      const granted = await c.subscribeAsync(filter, { qos: 1 }).catch(() => [{ qos: 128 }]);
      assert.equal(granted[0]?.qos, 128, filter);
    }
    await c.endAsync();
    await admin.endAsync();
    assert.deepEqual(leaked, []);
    const figures = await (await fetch(`${b.metrics}/metrics`)).text();
    assert.match(figures, /ecavg_broker_refused_total\{what="publish"\} 300/);
  }));

describe('1,000 hostile messages to cloud, gateways and broker', () => {
  test('rounds go on, nothing is counted twice, nobody falls over', () =>
    withFleet(EDGES.length, async (fleet) => {
      const { events } = await startFleet(fleet);
      const heard: Message[] = [];
      const ear = await mqtt.connectAsync(fleet.brokerUrl);
      ear.on('message', (topic, payload) => {
        if (heard.length < 500) heard.push({ topic, payload });
      });
      await ear.subscribeAsync('ecavg/#', { qos: 1 });
      await events.until('round-closed', (d) => d.round === 2);
      ear.end(true);
      // What an edge was told is no business of others: a broker with users lets nobody else say it.
      const attacker = new Attacker(
        heard.filter((m) => !m.topic.includes('/receipt/')),
        5,
      );
      const client = await mqtt.connectAsync(fleet.brokerUrl, { protocolVersion: 4 });
      for (let i = 0; i < 1000; i++) await send(client, fleet.brokerUrl, attacker.next());
      client.end(true);
      assert.ok(
        Object.values(attacker.sent).every((n) => n > 80),
        JSON.stringify(attacker.sent),
      );
      const before = Math.max(...events.seen.filter((e) => e.type === 'round-closed').map((e) => Number(e.data.round)));
      const { data } = await events.until('round-closed', (d) => Number(d.round) >= before + 2);
      assert.deepEqual((data.accepted as string[]).sort(), EDGES);
      assert.ok((data.accuracy as number) > 0.5, JSON.stringify(data));
      const { wire } = await fleet.state();
      const refused = Object.values(wire.rejected).reduce((a, n) => a + n, 0);
      assert.ok(refused > 100 && Object.keys(wire.rejected).length >= 5, JSON.stringify(wire.rejected));
      await fleet.processes.stop();
      checkInvariants(fleet, EDGES);
    }));
});
