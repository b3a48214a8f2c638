export { startCloud } from './cloud.js';
export { cloudCommand } from './command.js';
export { type CloudConfig, cloudConfigSchema } from './config.js';
export type { CloudEvent } from './events.js';
export type { CloudFile } from './models.js';
export { EmbeddedTelemetry } from './telemetry/embedded.js';
export { InfluxTelemetry } from './telemetry/influx.js';
export { MEASUREMENTS, type Measurement, type Point, type TelemetrySink } from './telemetry/points.js';
