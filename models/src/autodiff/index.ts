/**
 * `@ecavg/models/autodiff`: ONNX graphs, read and written, and the graph of a training step made from one. ONNX Runtime is loaded only
 * where a graph has to be run for the shapes of its tensors.
 */
export { GraphBuilder, OPSET } from '../onnx/builder.js';
export { type Cut, cutModel, headInput } from '../onnx/cut.js';
export { inspectModel, sampleShape } from '../onnx/inspect.js';
export { DataType, ModelError, type ModelProto, parseModel, serializeModel } from '../onnx/model.js';
export { probeModel } from '../onnx/probe.js';
export { extractWeights, withWeights } from '../weights.js';
export { type TrainingInfo, trainingInfo, trainingLayout } from './info.js';
export { LOSSES, type Loss, type LossOptions } from './losses.js';
export type { AdamWOptions, OptimizerOptions, SgdOptions } from './optimizers.js';
export { STEP } from './step.js';
export { SUPPORTED_OPS } from './table.js';
export { batchNormTensors, headTensors, matches, varianceTensors } from './tensors.js';
export { buildTrainingGraph, type TrainingGraphOptions } from './trainingGraph.js';
