export { type CombinerSettings, wantsOwnDifference } from './aggregation/chosen.js';
export { combine, type StrategyOptions, type Update } from './aggregation/combine.js';
export {
  type Combiner,
  type CoordinateCombiner,
  defineCombiner,
  type Given,
  type StreamingCombiner,
  type WeightedSumCombiner,
} from './aggregation/combiner.js';
export { COMBINERS } from './aggregation/combiners.js';
export type { CloudExtension } from './aggregation/extension.js';
export type { Geometry, Gram } from './aggregation/gram.js';
export {
  SERVER_OPTIMIZERS,
  type ServerOptimizer,
  type ServerOptions,
  type ServerState,
  serverStep,
} from './aggregation/serverOptimizer.js';
export { type Contribution, defineWeighting, type Weighting } from './aggregation/weighting.js';
export { WEIGHTINGS } from './aggregation/weightings.js';
export { startCloud } from './cloud.js';
export { type CloudFile, readCloudFile } from './cloudFile.js';
export { cloudCommand } from './command.js';
export { modelOf } from './commands/subcommand.js';
export { type CloudConfig, cloudConfigSchema } from './config.js';
export type { CloudEvent } from './fleet/events.js';
export { References } from './inbox/references.js';
export type { Accepted } from './inbox/roundStore.js';
export { Slices } from './inbox/slices.js';
export { Aggregator } from './judging/aggregator.js';
export { isSimulated } from './judging/config.js';
export { startRegional } from './regional/regional.js';
export { History, historyPath, type ReceptionRecord, type RoundRecord } from './rounds/history.js';
export { EmbeddedTelemetry } from './telemetry/embedded.js';
export { InfluxTelemetry } from './telemetry/influx.js';
export { MEASUREMENTS, type Measurement, type Point, type TelemetrySink } from './telemetry/points.js';
export { Spool } from './telemetry/spool.js';
