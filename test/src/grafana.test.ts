import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ALERTS, BOARDS } from '@ecavg/deploy';
import { InfluxDB } from 'influx';
import mqtt from 'mqtt';
import { findProgram, freePort, type TestFleet, withFleet } from './harness.js';
import { startInflux } from './influxServer.js';
import { csvColumns, type Row, rows, stream, writeCsv } from './signals.js';

const influxd = findProgram('influxd');
const T0 = Date.UTC(2026, 10, 1);

/** What Grafana puts in for its variables. */
const filled = (query: string): string =>
  query
    .replaceAll('$timeFilter', 'time > now() - 1h')
    .replaceAll('$__interval', '1s')
    .replace(/\/\^\$\w+\$\//g, '/^.*$/');

/** A machine that publishes its rows in messages of one second. */
async function machine(url: string, topic: string, data: Iterable<Row>): Promise<void> {
  const client = await mqtt.connectAsync(url);
  const all = [...data];
  for (let i = 0; i < all.length; i += 50) {
    const some = all.slice(i, i + 50);
    const last = some.at(-1) as Row;
    const message = { at: last.at, values: some.map((r) => r.vibration), temp: last.temperature };
    await client.publishAsync(topic, JSON.stringify(message), { qos: 1 });
  }
  await client.endAsync();
}

/** Two gateways with sensors of their own, two rounds, answers to their own windows, and a message that is refused. */
async function run(fleet: TestFleet, influx: { url: string; database: string }): Promise<void> {
  const port = await freePort();
  await fleet.daemon('broker', 'broker', { listen: { port }, sysSeconds: 1 });
  fleet.brokerUrl = `mqtt://127.0.0.1:${port}`;
  const folder = join(fleet.folder, 'in');
  writeCsv(folder, 'a.csv', rows(25, T0, 1));
  const { events } = await fleet.cloud({
    data: { stream: stream(), reference: { files: [join(folder, 'a.csv')], ...csvColumns } },
    rounds: { count: 2, pretrainEpochs: 3, settleSeconds: 5 },
    telemetry: { influx, healthSeconds: 1 },
  });
  for (const i of [0, 1])
    await fleet.edge(i, {
      data: {
        stream: stream(),
        minSamples: 10,
        qualitySeconds: 1,
        sources: [
          { type: 'csv', path: join(folder, 'a.csv'), ...csvColumns },
          {
            type: 'mqtt-json',
            topic: `factory/${i}`,
            time: { path: '$.at', format: 'ms' },
            channels: { vibration: '$.values[*]', temperature: '$.temp' },
          },
        ],
      },
      infer: { reportSeconds: 1, falseAlarmRate: 0.2 },
    });
  await events.until('finished');
  const liar = await mqtt.connectAsync(fleet.brokerUrl);
  await liar.publishAsync('ecavg/v1/plant/edge/liar/metrics', 'nonsense', { qos: 1 });
  await liar.endAsync();
  await Promise.all([0, 1].map((i) => machine(fleet.brokerUrl, `factory/${i}`, rows(10, T0 + 86_400_000, i))));
  for (const event of ['served', 'quality']) await events.until('report', (d) => d.event === event);
  await events.until('rejected');
  const own = async (): Promise<number> =>
    ((await (await fetch(`${fleet.dashboard}/api/v1/telemetry/ecavg_broker`)).json()) as unknown[]).length;
  // Rates need a few points: each comes with a report of a gateway.
  for (let seen = events.seen.length; (await own()) < 4; ) {
    await events.until('report', () => events.seen.length > seen);
    seen = events.seen.length;
  }
}

describe('Grafana', { skip: 'skip' in influxd && influxd.skip }, () => {
  test('every query of every panel returns data of a real run; those of the alerts run', async () => {
    assert.ok('path' in influxd);
    const folder = mkdtempSync(join(tmpdir(), 'ecavg-grafana-'));
    const port = await freePort();
    const server = await startInflux(influxd.path, folder, port);
    try {
      await withFleet(2, (fleet) => run(fleet, { url: `http://127.0.0.1:${port}`, database: 'plant' }));
      const db = new InfluxDB({ host: '127.0.0.1', port, database: 'plant' });
      const empty: string[] = [];
      let queries = 0;
      for (const board of BOARDS)
        for (const panel of board.rows.flatMap((r) => r.panels))
          for (const { query } of panel.queries) {
            queries++;
            const found = await db.query<Record<string, unknown>>(filled(query));
            const values = [...found].flatMap((row) =>
              Object.entries(row).filter(([k, v]) => k !== 'time' && v !== null),
            );
            if (values.length === 0) empty.push(`${board.title} / ${panel.title}: ${query}`);
          }
      assert.deepEqual(empty, []);
      assert.ok(queries > 45, String(queries));
      for (const { query, uid } of ALERTS) await assert.doesNotReject(db.query(filled(query)), uid);
    } finally {
      const gone = once(server, 'exit');
      server.kill('SIGKILL');
      await gone;
      rmSync(folder, { recursive: true });
    }
  });
});
