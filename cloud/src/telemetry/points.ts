/** One InfluxDB point: tags are indexed text, fields are the measured values. */
export interface Point {
  readonly measurement: Measurement;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, number | string | boolean>>;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The measurements that the cloud writes; docs/telemetry.md describes their tags and fields. */
export const MEASUREMENTS = [
  'ecavg_round',
  'ecavg_guard',
  'ecavg_reception',
  'ecavg_edge',
  'ecavg_quality',
  'ecavg_model',
  'ecavg_wire',
  'ecavg_reject',
  'ecavg_quorum',
  'ecavg_process',
  'ecavg_broker',
] as const;
export type Measurement = (typeof MEASUREMENTS)[number];

/** Where points go. `write` never throws and never blocks a round: failures are logged and counted. */
export interface TelemetrySink {
  readonly kind: 'influxdb' | 'embedded';
  write(points: readonly Point[]): void;
  /** The newest points of a measurement, newest first. */
  query(measurement: Measurement, limit: number): Promise<Point[]>;
  /** Writes out what is pending. */
  close(): Promise<void>;
}

/** Fields without those that are no finite number: a diverged loss has no place in a time series. */
export function finiteFields(fields: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).filter((e): e is [string, number] => e[1] !== undefined && Number.isFinite(e[1])),
  );
}
