export { type Artifact, prepareArtifact, readArtifact, updateArtifact } from './artifact.js';
export { LOSSES, type Loss } from './autodiff/losses.js';
export {
  buildTrainingGraph,
  SUPPORTED_OPS,
  type TrainingGraphOptions,
  type TrainingInfo,
  trainingInfo,
  trainingLayout,
} from './autodiff/trainingGraph.js';
export { type DataConfig, dataConfigSchema, gatewayShard, openData, type SharedData } from './data/config.js';
export { type DataSet, labelHistogram, sampleSize, type View } from './data/dataset.js';
export { cacheDir, loadMnist } from './data/mnist.js';
export { DATA_SETS, type DataSetName, loadDataSet } from './data/sources.js';
export { partitionBySite, partitionDirichlet, type Split, skew, splitByGroup, standardSplit } from './data/split.js';
export { faultFrequencies, simulateVibration, type VibrationOptions } from './data/vibration.js';
export { GraphBuilder, OPSET } from './onnx/builder.js';
export { DataType, ModelError, type ModelProto, parseModel, serializeModel } from './onnx/model.js';
export { Random } from './random.js';
export { Evaluator } from './train/evaluator.js';
export { OrtTrainer } from './train/ortTrainer.js';
export type { Evaluation, Trainer, TrainOptions, TrainResult } from './train/types.js';
export { extractWeights, withWeights } from './weights.js';
export { type ModelSpec, ZOO, zooModel } from './zoo/index.js';
