import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import mqtt from 'mqtt';
import { get } from 'sparkplug-payload';
import { type TestFleet, withFleet } from './harness.js';
import { csvColumns, RATE, type Row, rows, stream, writeCsv } from './signals.js';

const DAY = 86_400_000;
const T0 = Date.UTC(2026, 10, 1);

const reference = (fleet: TestFleet) => ({ files: [join(fleet.folder, 'reference', '*.csv')], ...csvColumns });
const cloudData = (fleet: TestFleet, more?: Record<string, unknown>) => ({
  stream: stream(more),
  reference: reference(fleet),
});
const edgeData = (sources: unknown[], more: Record<string, unknown> = {}) => ({
  stream: stream(),
  minSamples: 20,
  validationShare: 0.25,
  sources,
  ...more,
});
const writeReference = (fleet: TestFleet): void =>
  writeCsv(join(fleet.folder, 'reference'), 'r.csv', rows(40, T0 - DAY, 0.5));

/** Rows in messages of one second. */
function* seconds(data: Iterable<Row>): Generator<Row[]> {
  let some: Row[] = [];
  for (const row of data) {
    some.push(row);
    if (some.length < RATE) continue;
    yield some;
    some = [];
  }
}

/** A machine that publishes JSON. */
async function machine(url: string, data: Iterable<Row>): Promise<void> {
  const client = await mqtt.connectAsync(url);
  for (const some of seconds(data)) {
    const last = some.at(-1) as Row;
    const message = {
      meta: { at: last.at / 1000 },
      values: some.map((r) => ({ v: r.vibration })),
      temp: last.temperature,
      state: last.state,
    };
    await client.publishAsync('factory/press-2/data', JSON.stringify(message), { qos: 1 });
  }
  await client.endAsync();
}

/** A Sparkplug B edge node with one device, that is born when it is asked to. */
async function sparkplugNode(url: string, data: Iterable<Row>): Promise<void> {
  const codec = get('spBv1.0');
  assert.ok(codec);
  const client = await mqtt.connectAsync(url);
  let seq = 0;
  const send = (topic: string, metrics: unknown[], at: number): Promise<unknown> => {
    const payload = codec.encodePayload({ timestamp: at, seq: seq++ % 256, metrics: metrics as never });
    return client.publishAsync(`spBv1.0/plant/${topic}`, Buffer.from(payload), { qos: 0 });
  };
  const [first, ...others] = [...data];
  assert.ok(first);
  await send('NBIRTH/line-1', [{ name: 'bdSeq', type: 'Int64', value: 0 }], first.at);
  const value = (r: Row, named: boolean): unknown[] => [
    { name: named ? 'Vibration' : '', alias: 1, type: 'Double', value: r.vibration, timestamp: r.at },
    { name: named ? 'Oil/Temperature' : '', alias: 2, type: 'Double', value: r.temperature, timestamp: r.at },
    { name: named ? 'State' : '', alias: 3, type: 'String', value: r.state, timestamp: r.at },
  ];
  await send('DBIRTH/line-1/press', value(first, true), first.at);
  for (const some of seconds(others)) {
    const metrics = some.flatMap((r) => value(r, false));
    await send('DDATA/line-1/press', metrics, (some.at(-1) as Row).at);
  }
  await client.endAsync();
}

describe('gateways that learn from their own sensors', () => {
  test('CSV, MQTT JSON and Sparkplug B: one model of three gateways', () =>
    withFleet(3, async (fleet) => {
      await fleet.broker();
      writeReference(fleet);
      const { events } = await fleet.cloud({
        model: { id: 'digits', architecture: 'sensor-cnn1d', batch: 16 },
        data: cloudData(fleet),
        rounds: { count: 2, pretrainEpochs: 12, epochs: 4 },
      });
      const folder = join(fleet.folder, 'in');
      writeCsv(folder, 'first.csv', rows(30, T0, 1));
      await fleet.edge(0, { data: edgeData([{ type: 'csv', path: join(folder, '*.csv'), ...csvColumns }]) });
      await fleet.edge(1, {
        data: edgeData(
          [
            {
              type: 'mqtt-json',
              topic: 'factory/+/data',
              time: { path: '$.meta.at', format: 's' },
              channels: { vibration: '$.values[*].v', temperature: '$.temp' },
              label: '$.state',
            },
          ],
          { qualitySeconds: 1 },
        ),
      });
      await fleet.edge(2, {
        data: edgeData([
          {
            type: 'sparkplug-b',
            group: 'plant',
            node: 'line-1',
            channels: {
              vibration: { device: 'press', metric: 'Vibration' },
              temperature: { device: 'press', metric: 'Oil/Temperature' },
            },
            label: { device: 'press', metric: 'State' },
          },
        ]),
      });
      assert.ok(!events.seen.some((e) => e.type === 'round-opened'), 'nobody has enough samples yet, but one');
      await Promise.all([machine(fleet.brokerUrl, rows(30, T0, 2)), sparkplugNode(fleet.brokerUrl, rows(30, T0, 3))]);
      // A file that comes later is taken, too.
      writeCsv(folder, 'second.csv', rows(5, T0 - 3 * DAY, 4));
      await events.until('finished');
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => (e.data.accepted as string[]).length),
        [3, 3],
      );
      assert.ok((closed.at(-1)?.data.accuracy as number) > 0.95, JSON.stringify(closed.at(-1)?.data));
      const quality = await events.until(
        'report',
        (d) => d.event === 'quality' && Number((d.values as Record<string, number>).storedTrain) > 20,
      );
      const { channels } = quality.data as { channels: Record<string, Record<string, number>> };
      assert.deepEqual(Object.keys(channels), ['vibration', 'temperature']);
      const points = (await (await fetch(`${fleet.dashboard}/api/v1/telemetry/ecavg_quality?limit=20`)).json()) as {
        tags: Record<string, string>;
        fields: Record<string, number>;
      }[];
      const vibration = points.find((p) => p.tags.channel === 'vibration' && (p.fields.readings ?? 0) > 0);
      assert.equal(vibration?.tags.edge, 'edge-1');
      assert.equal(vibration?.fields.missing, 0);
    }));

  test('without labels: an autoencoder learns what is normal', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      writeReference(fleet);
      const settings = stream({ classes: [], mask: false });
      const { events } = await fleet.cloud({
        model: { id: 'digits', architecture: 'sensor-autoencoder', batch: 16, optimizer: 'adamw' },
        data: { stream: settings, reference: { ...reference(fleet), label: undefined } },
        rounds: { count: 2, pretrainEpochs: 30, epochs: 15, learningRate: 0.01 },
      });
      for (const i of [0, 1]) {
        const folder = join(fleet.folder, `in-${i}`);
        writeCsv(folder, 'a.csv', rows(40, T0, i));
        const source = { type: 'csv', path: join(folder, 'a.csv'), time: { column: 'time' } };
        await fleet.edge(i, { data: edgeData([source], { stream: settings, sensorDropout: 0.1 }) });
      }
      await events.until('finished');
      const { data } = events.seen.findLast((e) => e.type === 'round-closed') as { data: Record<string, number> };
      // The share of the variance that the model explains.
      assert.ok((data.previous ?? 1) < (data.accuracy ?? 0) && (data.accuracy ?? 0) > 0.4, JSON.stringify(data));
    }));

  test('a drift asks for a round before its time', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      writeReference(fleet);
      const { events } = await fleet.cloud({
        model: { id: 'digits', architecture: 'mlp' },
        data: cloudData(fleet),
        rounds: { count: 2, intervalSeconds: 3600, pretrainEpochs: 1 },
      });
      const folders = [0, 1].map((i) => join(fleet.folder, `in-${i}`));
      for (const [i, folder] of folders.entries()) {
        writeCsv(folder, 'a.csv', rows(60, T0, i));
        const source = { type: 'csv', path: join(folder, '*.csv'), ...csvColumns };
        await fleet.edge(i, { data: edgeData([source], { drift: { windows: 50, psiAlarm: 2 } }) });
      }
      await events.until('round-closed');
      assert.ok(!events.seen.some((e) => e.type === 'report' && e.data.event === 'drift'), 'nothing drifted yet');
      writeCsv(folders[1] as string, 'b.csv', rows(40, T0 + DAY, 1, 75));
      const { data } = await events.until('report', (d) => d.event === 'drift');
      assert.deepEqual([data.edge, Object.keys(data.channels as object)], ['edge-1', ['temperature']]);
      const opened = await events.until('round-opened', (d) => d.round === 2);
      assert.deepEqual(opened.data.drifted, ['edge-1']);
      await events.until('finished');
    }));

  test('a gateway that cuts its windows in another way takes no part', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      writeReference(fleet);
      await fleet.cloud({ model: { id: 'digits' }, data: cloudData(fleet), rounds: { minEdges: 2 } });
      const folder = join(fleet.folder, 'in');
      writeCsv(folder, 'a.csv', rows(20, T0, 1));
      const other = stream({ impute: 'mean' });
      const source = { type: 'csv', path: join(folder, 'a.csv'), ...csvColumns };
      await fleet.edge(0, { data: edgeData([source], { stream: other }) });
      await fleet.logged('edge-0', /data\.stream must be the same here and in the cloud/);
    }));
});
