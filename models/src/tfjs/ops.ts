import { convOps } from './convOps.js';
import { elementwiseOps } from './elementwiseOps.js';
import { shapeOps } from './shapeOps.js';
import type { TfOps } from './types.js';

/** Every ONNX op that the TensorFlow.js engine can execute, beside BatchNormalization and Dropout. */
export const TFJS_OPS: TfOps = { ...elementwiseOps, ...convOps, ...shapeOps };
