import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@ecavg/runtime';
import { InfluxDB, escape as quote } from 'influx';
import type { InfluxConfig } from './config.js';
import type { Measurement, Point, TelemetrySink } from './points.js';
import type { Spool } from './spool.js';

const BATCH = 1000;

/** Retention policies of the database: points as they came, and their means over longer spans. */
const RAW_POLICY = 'ecavg_raw';
const LONG_POLICY = 'ecavg_long';

/**
 * Writes to an InfluxDB with the 1.x API. While it is away points go to a spool on disk, and rounds go on. On first contact
 * it makes the database, its retention policies and a continuous query that keeps means of every field for long.
 */
export class InfluxTelemetry implements TelemetrySink {
  readonly kind = 'influxdb';
  readonly #db: InfluxDB;
  #buffer: Point[] = [];
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #prepared = false;
  #dropped = 0;

  constructor(
    private readonly config: InfluxConfig,
    private readonly spool: Spool,
    private readonly log: Logger,
    private readonly retryMs = 5000,
  ) {
    const url = new URL(config.url);
    this.#db = new InfluxDB({
      protocol: url.protocol === 'https:' ? 'https' : 'http',
      host: url.hostname,
      port: Number(url.port) || (url.protocol === 'https:' ? 443 : 8086),
      path: url.pathname === '/' ? '' : url.pathname,
      database: config.database,
      ...(config.username ? { username: config.username } : {}),
      ...(config.passwordFile ? { password: readFileSync(config.passwordFile, 'utf8').trim() } : {}),
    });
  }

  /** Points that are gone for good: the spool was full, or the server called them malformed. */
  get dropped(): number {
    return this.#dropped;
  }

  write(points: readonly Point[]): void {
    this.#buffer.push(...points);
    void this.#flush();
  }

  async query(measurement: Measurement, limit: number): Promise<Point[]> {
    await this.#flush();
    const rows = await this.#db.query<Record<string, unknown>>(
      `SELECT * FROM ${quote.measurement(measurement)} ORDER BY time DESC LIMIT ${Math.trunc(limit)}`,
    );
    const tagKeys = await this.#tagKeys(measurement);
    return rows.map((row) => {
      const entries = Object.entries(row).filter(([k, v]) => k !== 'time' && v !== null);
      return {
        measurement,
        at: (row.time as Date).getTime(),
        tags: Object.fromEntries(entries.filter(([k]) => tagKeys.has(k))) as Record<string, string>,
        fields: Object.fromEntries(entries.filter(([k]) => !tagKeys.has(k))) as Point['fields'],
      };
    });
  }

  /** Resolves once nothing waits: tries again, as often as it takes. */
  async flushed(): Promise<void> {
    for (;;) {
      await this.#flush();
      if (this.#buffer.length === 0 && this.spool.empty) return;
      await sleep(this.retryMs);
    }
  }

  /** What could not be delivered stays in the spool for the next run. */
  async close(): Promise<void> {
    await this.#flush();
    clearTimeout(this.#timer);
    if (!this.spool.empty) this.log.warn({ bytes: this.spool.bytes }, 'telemetry waits on disk for the next run');
  }

  #flush(): Promise<void> {
    this.#flushing ??= this.#drain().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #drain(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await this.#prepare();
      while (this.#buffer.length > 0) {
        const batch = this.#buffer.slice(0, BATCH);
        await this.#send(batch);
        // More may have come meanwhile.
        this.#buffer = this.#buffer.slice(batch.length);
      }
      for (let points = await this.spool.oldest(); points; points = await this.spool.oldest()) {
        await this.#send(points);
        await this.spool.shift();
      }
    } catch (error) {
      await this.#keep();
      this.log.warn({ err: error, spooled: this.spool.bytes }, 'InfluxDB did not take points; they will be sent again');
      this.#timer = setTimeout(() => void this.#flush(), this.retryMs);
      this.#timer.unref();
    }
  }

  async #send(points: readonly Point[]): Promise<void> {
    if (points.length === 0) return;
    const all = points.map(({ measurement, tags, fields, at }) => ({
      measurement,
      tags: { ...tags },
      fields: { ...fields },
      timestamp: new Date(at),
    }));
    try {
      await this.#db.writePoints(all, { precision: 'ms' });
    } catch (error) {
      // What InfluxDB calls malformed it will refuse again: keeping it would hold up everything behind it.
      if (statusOf(error) !== 400) throw error;
      this.#dropped += points.length;
      this.log.error({ err: error, points: points.length }, 'InfluxDB refused points; they are dropped');
    }
  }

  /** From memory to disk. */
  async #keep(): Promise<void> {
    const waiting = this.#buffer;
    if (waiting.length === 0) return;
    this.#buffer = [];
    try {
      const dropped = await this.spool.push(waiting);
      this.#dropped += dropped;
      if (dropped > 0)
        this.log.warn({ dropped, total: this.#dropped }, 'the telemetry spool is full: oldest points dropped');
    } catch (error) {
      this.#dropped += waiting.length;
      this.log.error({ err: error, points: waiting.length }, 'telemetry could not be kept on disk; it is dropped');
    }
  }

  async #prepare(): Promise<void> {
    if (this.#prepared) return;
    const { database, retention } = this.config;
    await this.#db.createDatabase(database);
    this.#prepared = true;
    if (!retention) return;
    try {
      await this.#policy(RAW_POLICY, `${retention.rawDays}d`, true);
      await this.#policy(LONG_POLICY, `${retention.longDays}d`, false);
      const name = `${database}.${LONG_POLICY}`;
      const known = await this.#db.showContinousQueries(database);
      if (!known.some((q) => q.name === LONG_POLICY))
        await this.#db.createContinuousQuery(
          LONG_POLICY,
          `SELECT mean(*) INTO ${name}.:MEASUREMENT FROM ${database}.${RAW_POLICY}./^ecavg_/ GROUP BY time(${retention.everyMinutes}m), *`,
          database,
        );
    } catch (error) {
      // InfluxDB 2 and 3 answer the 1.x API, and manage retention in a way of their own.
      this.log.warn({ err: error }, 'this InfluxDB makes no retention policies by the 1.x API: set them up there');
    }
  }

  async #policy(name: string, duration: string, isDefault: boolean): Promise<void> {
    const { database } = this.config;
    const known = await this.#db.showRetentionPolicies(database);
    const options = { duration, replication: 1, database, isDefault };
    if (known.some((p) => p.name === name)) await this.#db.alterRetentionPolicy(name, options);
    else await this.#db.createRetentionPolicy(name, options);
  }

  async #tagKeys(measurement: Measurement): Promise<Set<string>> {
    const rows = await this.#db.query<{ tagKey: string }>(`SHOW TAG KEYS FROM ${quote.measurement(measurement)}`);
    return new Set(rows.map((r) => r.tagKey));
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as { res?: { statusCode?: number } }).res?.statusCode;
}
