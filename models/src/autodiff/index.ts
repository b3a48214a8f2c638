/**
 * `@ecavg/models/autodiff`: ONNX graphs, read and written, and the graph of a training step made from one. ONNX Runtime is loaded only
 * where a graph has to be run for the shapes of its tensors.
 */

export { LOSSES, type Loss, type LossOptions } from '../losses/names.js';
export { rebuildsInput } from '../losses/target.js';
export { GraphBuilder, OPSET } from '../onnx/builder.js';
export { type Cut, cutModel, headInput } from '../onnx/cut.js';
export { DataType, ModelError, type ModelProto, parseModel, serializeModel } from '../onnx/model.js';
export { probeModel } from '../onnx/probe.js';
export { SUPPORTED_OPS } from '../ops/names.js';
export {
  type AdamWOptions,
  OPTIMIZERS,
  type OptimizerName,
  type OptimizerOptions,
  type SgdOptions,
} from '../optimizers/options.js';
export { matches } from '../patterns.js';
export { extractWeights, withWeights } from '../weights.js';
export { type TrainingInfo, trainingInfo, trainingLayout } from './info.js';
export { inspectModel, sampleShape } from './inspect.js';
export { type StartTensor, startTensors } from './start.js';
export { STEP } from './step.js';
export { batchNormTensors, headTensors, varianceTensors } from './tensors.js';
export { buildTrainingGraph, type TrainingGraphOptions } from './trainingGraph.js';
