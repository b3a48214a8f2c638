export { type Member as PermutationMember, type PermutationGroup, permutationGroups } from './align/groups.js';
export { type Matched, matchWeights, permute } from './align/match.js';
export { refreshStatistics } from './align/refresh.js';
export { gather, type Slice, sliceArtifact, sliceModel, trainingOptions, WIDTH_STEP } from './align/slice.js';
export { type Artifact, prepareArtifact, readArtifact, updateArtifact } from './artifact.js';
export { type TrainingInfo, trainingInfo, trainingLayout } from './autodiff/info.js';
export { LOSSES, type Loss, type LossOptions } from './autodiff/losses.js';
export type { AdamWOptions, OptimizerOptions, SgdOptions } from './autodiff/optimizers.js';
export { SUPPORTED_OPS } from './autodiff/table.js';
export { batchNormTensors, headTensors, matches, varianceTensors } from './autodiff/tensors.js';
export { buildTrainingGraph, type TrainingGraphOptions } from './autodiff/trainingGraph.js';
export { type DataConfig, dataConfigSchema, gatewayShard, openData, type SharedData } from './data/config.js';
export { type DataSet, labelHistogram, sampleSize, type View } from './data/dataset.js';
export { cacheDir, loadMnist } from './data/mnist.js';
export { everything, joinViews, rowsData, withTargets } from './data/rows.js';
export { DATA_SETS, type DataSetName, loadDataSet } from './data/sources.js';
export { partitionBySite, partitionDirichlet, type Split, skew, splitByGroup, standardSplit } from './data/split.js';
export { loadStandard, STANDARD_SETS, type StandardSet } from './data/standard.js';
export { loadSteel, subset } from './data/steel.js';
export {
  CsvError,
  CsvReader,
  classIndex,
  csvMapping,
  parseTime,
  type RowSink,
  readCsv,
  TIME_FORMATS,
} from './data/stream/csv.js';
export { blockOf, loadRecordings, type Recordings, recordingsSchema } from './data/stream/reference.js';
export { type StreamConfig, streamDigest, streamSchema, streamShape } from './data/stream/schema.js';
export type { StreamWindow } from './data/stream/window.js';
export { type ChannelQuality, Windower } from './data/stream/windower.js';
export { faultFrequencies, simulateVibration, type VibrationOptions } from './data/vibration.js';
export { type FolderManifest, readArtifactFolder, writeArtifactFolder } from './folder.js';
export { GraphBuilder, OPSET } from './onnx/builder.js';
export { type Cut, cutModel, headInput } from './onnx/cut.js';
export { inspectModel, sampleShape } from './onnx/inspect.js';
export { DataType, ModelError, type ModelProto, parseModel, serializeModel } from './onnx/model.js';
export { probeModel } from './onnx/probe.js';
export { Random } from './random.js';
export { createTrainer, ENGINES, type EngineName, requireEngine, type TrainerOptions } from './train/engine.js';
export { Evaluator, meanSquares } from './train/evaluator.js';
export { OrtTrainer } from './train/ortTrainer.js';
export { type Prediction, Predictor } from './train/predictor.js';
export {
  type Evaluation,
  SCHEDULES,
  type Schedule,
  type Trainer,
  type TrainOptions,
  type TrainResult,
} from './train/types.js';
export { extractWeights, withWeights } from './weights.js';
export { ZOO, type ZooInfo, zooModel } from './zoo/index.js';
export type { ModelSpec } from './zoo/spec.js';
