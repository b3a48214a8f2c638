import { type Logger, opaqueState, StateFormat } from '@ecavg/runtime';
import { ClassicLevel } from 'classic-level';
import { z } from 'zod';
import type { Measurement, Point, TelemetrySink } from './points.js';

/** Points kept of each measurement; the oldest go. */
const KEPT = 200_000;

/** Before all measurements; release 0.1.0 wrote none. */
const FORMAT_KEY = '!format';

/** What stands under `FORMAT_KEY`. */
const storeFormat = new StateFormat({
  kind: 'embedded telemetry',
  at: {},
  holds: 'the number alone',
  removed: '',
  format: 1,
  encoding: 'json',
  schema: z.object({}),
  migrations: { 0: () => ({}) },
});

opaqueState({
  kind: 'embedded telemetry',
  at: {
    cloud: ['CURRENT', 'LOCK', 'LOG', 'LOG.old', 'MANIFEST-{n}', '{n}.ldb', '{n}.log'].map((n) => `telemetry/${n}`),
  },
  holds: 'the newest points of each measurement',
  told: `LevelDB's own; of what is in it, the key \`${FORMAT_KEY}\``,
  removed: 'safe: figures of before are gone',
});

/** The default store: LevelDB in the cloud's data folder, keyed by measurement and time. */
export class EmbeddedTelemetry implements TelemetrySink {
  readonly kind = 'embedded';
  #pending: Promise<void> = Promise.resolve();
  #sequence = 0;
  readonly #written = new Map<Measurement, number>();

  private constructor(
    private readonly db: ClassicLevel<string, Point>,
    private readonly log: Logger,
  ) {}

  /** @throws NewerFormatError */
  static async open(folder: string, log: Logger): Promise<EmbeddedTelemetry> {
    const db = new ClassicLevel<string, Point>(folder, { valueEncoding: 'json' });
    await db.open();
    try {
      const { format } = storeFormat.parse(await db.get<string, unknown>(FORMAT_KEY, {}), folder);
      if (format < storeFormat.number) await db.put<string, object>(FORMAT_KEY, storeFormat.stamp({}), {});
    } catch (error) {
      await db.close();
      throw error;
    }
    return new EmbeddedTelemetry(db, log);
  }

  write(points: readonly Point[]): void {
    const batch = points.map((value) => ({ type: 'put' as const, key: this.#key(value), value }));
    this.#pending = this.#pending
      .then(() => this.db.batch(batch))
      .then(() => this.#trim(points))
      .catch((error: unknown) => this.log.error({ err: error, points: points.length }, 'telemetry not stored'));
  }

  async query(measurement: Measurement, limit: number): Promise<Point[]> {
    await this.#pending;
    const range = { gt: `${measurement}/`, lt: `${measurement}0`, reverse: true, limit };
    return this.db.values(range).all();
  }

  async close(): Promise<void> {
    await this.#pending;
    await this.db.close();
  }

  /** Sorts by time; the sequence keeps points of one millisecond apart. */
  #key({ measurement, at }: Point): string {
    this.#sequence = (this.#sequence + 1) % 1e6;
    return `${measurement}/${String(Math.floor(at)).padStart(15, '0')}/${String(this.#sequence).padStart(6, '0')}`;
  }

  async #trim(points: readonly Point[]): Promise<void> {
    for (const measurement of new Set(points.map((p) => p.measurement))) {
      const written = (this.#written.get(measurement) ?? 0) + points.length;
      this.#written.set(measurement, written % 10_000);
      if (written < 10_000) continue;
      const newest = await this.db
        .keys({ gt: `${measurement}/`, lt: `${measurement}0`, reverse: true, limit: KEPT + 1 })
        .all();
      const cut = newest[KEPT];
      if (cut) await this.db.clear({ gt: `${measurement}/`, lte: cut });
    }
  }
}
