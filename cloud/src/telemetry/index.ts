import { join } from 'node:path';
import type { Logger } from '@ecavg/runtime';
import type { CloudConfig } from '../config.js';
import { EmbeddedTelemetry } from './embedded.js';
import { InfluxTelemetry } from './influx.js';
import type { TelemetrySink } from './points.js';

/** InfluxDB where one is configured, the embedded store otherwise. */
export async function openTelemetry(
  config: Pick<CloudConfig, 'telemetry' | 'dataDir'>,
  log: Logger,
): Promise<TelemetrySink> {
  const { influx } = config.telemetry;
  return influx ? new InfluxTelemetry(influx, log) : EmbeddedTelemetry.open(join(config.dataDir, 'telemetry'), log);
}
