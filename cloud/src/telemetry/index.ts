// Telemetry: points for InfluxDB or the embedded store, figures for Prometheus, the health of this process.
// It may touch the rooms aggregation and fleet; whoever has figures hands them in.
import { join } from 'node:path';
import type { Logger } from '@ecavg/runtime';
import type { TelemetryConfig } from './config.js';
import { EmbeddedTelemetry } from './embedded.js';
import { InfluxTelemetry } from './influx.js';
import type { TelemetrySink } from './points.js';
import { Spool } from './spool.js';

/** InfluxDB where one is configured, the embedded store otherwise. */
export async function openTelemetry(
  config: { readonly telemetry: TelemetryConfig; readonly dataDir: string },
  log: Logger,
): Promise<TelemetrySink> {
  const { influx } = config.telemetry;
  if (!influx) return EmbeddedTelemetry.open(join(config.dataDir, 'telemetry'), log);
  const spool = await Spool.open(join(config.dataDir, 'telemetry-spool'), influx.spoolMegabytes * 1e6);
  return new InfluxTelemetry(influx, spool, log);
}
