import assert from 'node:assert/strict';
import { after } from 'node:test';
import { brokerConfigSchema, startBroker } from '@ecavg/broker';
import { edgeExtensions } from '@ecavg/edge';
import { describeSource, type SourcePlace } from '@ecavg/edge/conformance';
import { createLogger } from '@ecavg/runtime';
import mqtt, { type MqttClient } from 'mqtt';
import { get } from 'sparkplug-payload';

const log = createLogger('broker', { level: 'silent', format: 'json' });
const listen = (port: number) => startBroker(brokerConfigSchema.parse({ listen: { port } }), log);
let broker = await listen(0);
const url = String(broker.ready.url);
const own = { url, reconnectSeconds: 0.1 };
let client: MqttClient | undefined;
after(async () => {
  await client?.endAsync(true);
  await broker.stop();
});

async function publish(topic: string, payload: Uint8Array | string): Promise<void> {
  client ??= await mqtt.connectAsync(url, { reconnectPeriod: 100 });
  await client.publishAsync(topic, Buffer.from(payload), { qos: 1 });
}

/** The broker goes away, and comes back at the same address. */
async function interrupt(): Promise<void> {
  await broker.stop();
  broker = await listen(Number(new URL(url).port));
}

const timeOf = (place: SourcePlace): number => Date.UTC(2026, 0, 1) + 1000 * place.step;

describeSource('mqtt-json', edgeExtensions.sources.get('mqtt-json'), {
  settings: () => ({
    topic: 'plant/+/data',
    broker: own,
    time: { path: '$.at', format: 's' },
    channels: { temperature: '$.t', vibration: '$.v[*]' },
    label: '$.state',
  }),
  unknownChannel: () => ({ topic: 'plant/+/data', broker: own, channels: { nowhere: '$.t' } }),
  refused: [
    [{ topic: 'plant/#/data', channels: { temperature: '$.t' } }, /expected an MQTT topic/],
    [{ topic: 'a' }, /names neither channels nor a label/],
    [{ topic: 'a', channels: { temperature: 't[' } }, /is no JSONPath/],
  ],
  feed: (place) =>
    publish('plant/a/data', JSON.stringify({ at: timeOf(place) / 1000, t: 20, v: [1, null, '2', true], state: 'ok' })),
  async rubbish() {
    for (const text of ['', '{', '[]', '{"t": 1}', '{"at": "noon", "t": 1}', '{"at": 1767225600, "t": {"a": 1}}'])
      await publish('plant/a/data', text);
  },
  interrupt,
});

const codec = get('spBv1.0');
assert.ok(codec);
type Metrics = Parameters<typeof codec.encodePayload>[0]['metrics'];
const send = (type: string, seq: number, timestamp: number, metrics: Metrics): Promise<void> =>
  publish(`spBv1.0/plant/${type}`, codec.encodePayload({ timestamp, seq, metrics: metrics ?? [] }));

describeSource('sparkplug-b', edgeExtensions.sources.get('sparkplug-b'), {
  settings: () => ({
    group: 'plant',
    node: 'line',
    broker: own,
    channels: { temperature: { device: 'press', metric: 'T' }, vibration: { metric: 'V' } },
    label: { device: 'press', metric: 'State' },
  }),
  unknownChannel: () => ({ group: 'plant', node: 'line', broker: own, channels: { nowhere: { metric: 'V' } } }),
  refused: [
    [{ group: 'a/b', node: 'c', channels: { temperature: { metric: 'T' } } }, /one topic level/],
    [{ group: 'a', node: 'c' }, /names neither channels nor a label/],
  ],
  async feed(place) {
    const at = timeOf(place);
    await send('NBIRTH/line', 0, at, [
      { name: 'bdSeq', type: 'Int64', value: 0 },
      { name: 'V', alias: 1, type: 'Double', value: 0.5 },
    ]);
    await send('DBIRTH/line/press', 1, at, [
      { name: 'T', alias: 2, type: 'Double', value: 20 },
      { name: 'State', alias: 3, type: 'String', value: 'ok' },
    ]);
    await send('DDATA/line/press', 2, at + 100, [{ name: '', alias: 2, type: 'Double', value: null, isNull: true }]);
  },
  async rubbish(place) {
    await publish('spBv1.0/plant/NDATA/line', Buffer.from([255, 255, 255]));
    await send('DDATA/line/press', 77, timeOf(place), [{ name: '', alias: 2, type: 'String', value: 'hot' }]);
    await send('NDATA/line', 78, timeOf(place), [{ name: '', alias: 99, type: 'Double', value: 1 }]);
  },
  interrupt,
});
