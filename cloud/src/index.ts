export { cloudCommand } from './command.js';
export { startCloud } from './cloud.js';
export { type CloudConfig, cloudConfigSchema } from './config.js';
export type { CloudEvent } from './events.js';
export { InfluxTelemetry } from './telemetry/influx.js';
export { EmbeddedTelemetry } from './telemetry/embedded.js';
export { MEASUREMENTS, type Measurement, type Point, type TelemetrySink } from './telemetry/points.js';
