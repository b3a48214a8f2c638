import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type CloudConfig, InfluxTelemetry, Spool } from '@ecavg/cloud';
import { createLogger } from '@ecavg/runtime';
import { InfluxDB } from 'influx';
import { findProgram, freePort, TestFleet } from './harness.js';
import { startInflux } from './influxServer.js';

const influxd = findProgram('influxd');
const log = createLogger('test', { level: 'silent', format: 'json' });

describe('InfluxDB', { skip: 'skip' in influxd && influxd.skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-influx-'));
  let port = 0;
  let server: Awaited<ReturnType<typeof startInflux>>;
  const settings = (): NonNullable<CloudConfig['telemetry']['influx']> => ({
    url: `http://127.0.0.1:${port}`,
    database: 'plant',
    spoolMegabytes: 64,
    // The points of these tests are old.
    retention: null,
  });
  let spools = 0;
  const spool = (maxBytes = 1e6, name = `spool-${spools++}`): Promise<Spool> =>
    Spool.open(join(folder, name), maxBytes);
  const start = async (): Promise<void> => {
    if ('path' in influxd) server = await startInflux(influxd.path, folder, port);
  };
  const stop = async (): Promise<void> => {
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  };

  before(async () => {
    port = await freePort();
    await start();
  });
  after(async () => {
    await stop();
    rmSync(folder, { recursive: true });
  });

  test('a real round writes every measurement, with its tags and fields', async () => {
    const fleet = new TestFleet(2);
    try {
      await fleet.broker();
      const { events } = await fleet.cloud({ telemetry: { influx: { url: settings().url, database: 'plant' } } });
      await Promise.all([fleet.edge(0), fleet.edge(1)]);
      await events.until('finished');
      const closed = await events.until('round-closed');
      // The dashboard's own query reads through the same sink, and waits until all is written.
      const own = (await (await fetch(`${fleet.dashboard}/api/v1/telemetry/ecavg_round`)).json()) as {
        fields: { round: number };
      }[];
      assert.equal(own[0]?.fields.round, 1);
      const db = new InfluxDB({ host: '127.0.0.1', port, database: 'plant' });
      const rows = async (q: string) => [...(await db.query<Record<string, unknown>>(q))];
      const [round] = await rows('SELECT * FROM ecavg_round');
      assert.equal(round?.fleet, 'plant');
      assert.equal(round?.model, 'digits');
      assert.equal(round?.decision, closed.data.decision);
      assert.equal(round?.updates, 2);
      assert.equal(round?.accuracy_average, closed.data.average);
      const edges = await rows("SELECT * FROM ecavg_edge WHERE event = 'trained' GROUP BY edge");
      assert.deepEqual(edges.map((e) => e.edge).sort(), ['edge-0', 'edge-1']);
      assert.ok(edges.every((e) => Number(e.samples) > 1000 && Number(e.bytes) > 1000 && Number(e.val_after) > 0.5));
      const adopted = await rows("SELECT * FROM ecavg_edge WHERE event = 'adopted' AND version = 2");
      assert.equal(adopted.length, 2);
      assert.equal((await rows('SELECT version FROM ecavg_model'))[0]?.version, 2);
      assert.ok(Number((await rows('SELECT bytes FROM ecavg_wire'))[0]?.bytes) > 10_000);
      // What was made on first contact, and what it makes of the points.
      const policies = await db.showRetentionPolicies('plant');
      assert.deepEqual(
        policies.filter((p) => p.name.startsWith('ecavg_')).map((p) => [p.name, p.duration, p.default]),
        [
          ['ecavg_raw', '720h0m0s', true],
          ['ecavg_long', '17520h0m0s', false],
        ],
      );
      const [query] = await db.showContinousQueries('plant');
      assert.equal(query?.name, 'ecavg_long');
      const select = /BEGIN (SELECT .*) END/.exec(query?.query ?? '')?.[1] ?? '';
      await db.query(select.replace(/ GROUP BY/, ` WHERE time > now() - 1h GROUP BY`));
      const [long] = await rows("SELECT * FROM ecavg_long.ecavg_edge WHERE edge = 'edge-0' AND event = 'trained'");
      assert.ok(Number(long?.mean_val_after) > 0.5, JSON.stringify(long));
      const prometheus = await (await fetch(`${fleet.dashboard}/metrics`)).text();
      assert.match(prometheus, /ecavg_cloud_version\{fleet="plant",model="digits"\} 2\n/);
      assert.match(prometheus, /ecavg_cloud_edges_online\{fleet="plant",model="digits"\} 2\n/);
      assert.match(prometheus, /ecavg_cloud_update_bytes_total\{fleet="plant",model="digits"\} [1-9]\d{3}/);
    } finally {
      await fleet.stop();
    }
  });

  test('points that the server calls malformed are dropped, and those behind them arrive', async () => {
    const sink = new InfluxTelemetry({ ...settings(), database: 'malformed' }, await spool(), log, 50);
    const point = (fields: Record<string, number | string>) =>
      ({ measurement: 'ecavg_model', tags: {}, fields, at: 1 }) as const;
    sink.write([point({ version: 1 })]);
    await sink.flushed();
    // The same field with another type.
    sink.write([point({ version: 'two' })]);
    await sink.flushed();
    sink.write([{ ...point({ version: 3 }), at: 2 }]);
    await sink.flushed();
    assert.deepEqual(
      (await sink.query('ecavg_model', 10)).map((p) => p.fields.version),
      [3, 1],
    );
    await sink.close();
  });

  test('points wait while the server is away and arrive when it is back', async () => {
    const sink = new InfluxTelemetry({ ...settings(), database: 'away' }, await spool(), log, 50);
    const point = (n: number) =>
      ({ measurement: 'ecavg_round', tags: { fleet: 'f' }, fields: { round: n }, at: 1_700_000_000_000 + n }) as const;
    sink.write([point(1)]);
    await sink.query('ecavg_round', 10);
    await stop();
    sink.write([point(2), point(3)]);
    await start();
    await sink.flushed();
    const points = await sink.query('ecavg_round', 10);
    assert.deepEqual(points, [point(3), point(2), point(1)]);
    await sink.close();
  });

  test('what waits is on disk: the next run delivers it', async () => {
    const point = (n: number) =>
      ({ measurement: 'ecavg_round', tags: {}, fields: { round: n }, at: 1_700_000_000_000 + n }) as const;
    await stop();
    const first = new InfluxTelemetry({ ...settings(), database: 'restart' }, await spool(1e6, 'restart'), log, 50);
    first.write([point(1), point(2)]);
    first.write([point(3)]);
    await first.close();
    await start();
    const second = new InfluxTelemetry({ ...settings(), database: 'restart' }, await spool(1e6, 'restart'), log, 50);
    await second.flushed();
    assert.deepEqual(
      (await second.query('ecavg_round', 10)).map((p) => p.fields.round),
      [3, 2, 1],
    );
    await second.close();
  });
});

test('the spool is bounded: the oldest points go, and damage is passed over', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-spool-'));
  try {
    const point = (n: number) => ({ measurement: 'ecavg_round', tags: {}, fields: { round: n }, at: n }) as const;
    const spool = await Spool.open(folder, 1000);
    let dropped = 0;
    for (let n = 0; n < 40; n++) dropped += await spool.push([point(n)]);
    assert.ok(spool.bytes <= 1000 && dropped > 20, `${spool.bytes} ${dropped}`);
    const again = await Spool.open(folder, 1000);
    assert.equal(again.bytes, spool.bytes);
    assert.deepEqual(await again.oldest(), [point(dropped)]);
    const [name = ''] = readdirSync(folder).sort();
    writeFileSync(join(folder, name), 'no json');
    assert.deepEqual(await again.oldest(), []);
    await again.shift();
    assert.deepEqual(await again.oldest(), [point(dropped + 1)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
