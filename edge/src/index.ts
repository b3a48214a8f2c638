export { edgeCommand } from './command.js';
export { type EdgeConfig, edgeConfigSchema, edgeExtensions } from './config.js';
export { startEdge } from './edge.js';
export {
  defineTransform,
  type Reading,
  type Transform,
  type TransformMeans,
  type TransformRecord,
} from './samples/transform.js';
export { subscribeSource } from './sources/mqtt.js';
export {
  type BadInput,
  channelPlaces,
  defineSource,
  type Intake,
  type RecordingIntake,
  type Source,
  type SourceMeans,
  type SourceRecord,
} from './sources/source.js';
export type { SettingsSchema } from './sources/typedSettings.js';
