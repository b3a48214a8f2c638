import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import type { MqttClient } from 'mqtt';
import { Flow } from './flow.js';

/** A client that holds every message until it is told to acknowledge. */
class FakeClient extends EventEmitter {
  connected = true;
  options = { protocolVersion: 4 };
  readonly sent: { topic: string; options: object; ack(error?: Error): void }[] = [];
  publish(topic: string, _: Buffer, options: object, ack: (error?: Error) => void): void {
    this.sent.push({ topic, options, ack });
  }
  get topics(): string[] {
    return this.sent.map((s) => s.topic);
  }
}

function flow(limits: { inFlightBytes: number; inFlightMessages: number }): { client: FakeClient; flow: Flow } {
  const client = new FakeClient();
  return { client, flow: new Flow(client as unknown as MqttClient, limits) };
}

describe('flow of messages to the broker', () => {
  test('keeps to the limit of bytes and of messages, in order', async () => {
    const { client, flow: f } = flow({ inFlightBytes: 100, inFlightMessages: 3 });
    const all = ['a', 'b', 'c', 'd', 'e'].map((t, i) => f.send(t, new Uint8Array(i === 2 ? 500 : 40)));
    assert.deepEqual(client.topics, ['a', 'b'], 'two of 40 bytes fit into 100');
    client.sent[0]?.ack();
    assert.deepEqual(client.topics, ['a', 'b'], 'the large one waits until it is alone');
    client.sent[1]?.ack();
    assert.deepEqual(client.topics, ['a', 'b', 'c']);
    client.sent[2]?.ack();
    assert.deepEqual(client.topics, ['a', 'b', 'c', 'd', 'e']);
    assert.ok(f.busy);
    for (const s of client.sent.slice(3)) s.ack();
    await Promise.all(all);
    assert.ok(!f.busy);
  });

  test('keeps to the receive maximum of an MQTT 5 broker, and sends properties only to such', () => {
    const { client, flow: f } = flow({ inFlightBytes: 1e6, inFlightMessages: 10 });
    const properties = { contentType: 'x' };
    void f.send('plain', new Uint8Array(1), { properties });
    assert.deepEqual(client.sent[0]?.options, { qos: 1 });
    client.sent[0]?.ack();
    client.options.protocolVersion = 5;
    client.emit('connect', { properties: { receiveMaximum: 2, maximumPacketSize: 1000 } });
    assert.equal(f.maximumPacket, 1000);
    for (const topic of ['a', 'b', 'c']) void f.send(topic, new Uint8Array(1), { properties });
    assert.deepEqual(client.topics, ['plain', 'a', 'b']);
    assert.deepEqual(client.sent[1]?.options, { qos: 1, properties });
  });

  test('waits while the broker is away, and can drop what waits', async () => {
    const { client, flow: f } = flow({ inFlightBytes: 100, inFlightMessages: 1 });
    client.connected = false;
    const first = f.send('a', new Uint8Array(1));
    assert.deepEqual(client.topics, []);
    client.connected = true;
    client.emit('connect', {});
    assert.deepEqual(client.topics, ['a']);
    const second = f.send('b', new Uint8Array(1));
    f.clear();
    await assert.rejects(second, /dropped/);
    client.sent[0]?.ack(new Error('broken'));
    await assert.rejects(first, /broken/);
  });
});
