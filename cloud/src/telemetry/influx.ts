import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@ecavg/runtime';
import { InfluxDB, type IPoint, escape as quote } from 'influx';
import type { CloudConfig } from '../config.js';
import type { Measurement, Point, TelemetrySink } from './points.js';

type InfluxConfig = NonNullable<CloudConfig['telemetry']['influx']>;

/** Points held while InfluxDB is away; the oldest go. */
const BUFFER = 50_000;
const BATCH = 1000;

/** Writes to an InfluxDB with the 1.x API. Points wait in memory while it is away, and rounds go on. */
export class InfluxTelemetry implements TelemetrySink {
  readonly kind = 'influxdb';
  readonly #db: InfluxDB;
  readonly #buffer: IPoint[] = [];
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #created = false;
  #dropped = 0;

  constructor(
    private readonly config: InfluxConfig,
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

  write(points: readonly Point[]): void {
    for (const { measurement, tags, fields, at } of points) {
      this.#buffer.push({ measurement, tags: { ...tags }, fields: { ...fields }, timestamp: new Date(at) });
    }
    const over = this.#buffer.length - BUFFER;
    if (over > 0) {
      this.#buffer.splice(0, over);
      this.#dropped += over;
      this.log.warn({ dropped: this.#dropped }, 'telemetry buffer is full: oldest points dropped');
    }
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
    while (this.#buffer.length > 0) {
      await this.#flush();
      if (this.#buffer.length > 0) await sleep(this.retryMs);
    }
  }

  async close(): Promise<void> {
    await this.#flush();
    clearTimeout(this.#timer);
    if (this.#buffer.length > 0) this.log.warn({ points: this.#buffer.length }, 'telemetry not delivered');
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
      if (!this.#created) await this.#db.createDatabase(this.config.database);
      this.#created = true;
      while (this.#buffer.length > 0) {
        const batch = this.#buffer.splice(0, BATCH);
        try {
          await this.#db.writePoints(batch, { precision: 'ms' });
        } catch (error) {
          // What InfluxDB calls malformed it will refuse again: keeping it would hold up everything behind it.
          if (statusOf(error) !== 400) {
            this.#buffer.unshift(...batch);
            throw error;
          }
          this.log.error({ err: error, points: batch.length }, 'InfluxDB refused points; they are dropped');
        }
      }
    } catch (error) {
      this.log.warn(
        { err: error, waiting: this.#buffer.length },
        'InfluxDB did not take points; they will be sent again',
      );
      this.#timer = setTimeout(() => void this.#flush(), this.retryMs);
      this.#timer.unref();
    }
  }

  async #tagKeys(measurement: Measurement): Promise<Set<string>> {
    const rows = await this.#db.query<{ tagKey: string }>(`SHOW TAG KEYS FROM ${quote.measurement(measurement)}`);
    return new Set(rows.map((r) => r.tagKey));
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as { res?: { statusCode?: number } }).res?.statusCode;
}
