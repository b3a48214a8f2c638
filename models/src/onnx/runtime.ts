// Must come before onnxruntime-node: ES modules are evaluated in the order of their imports.
import './noTelemetry.js';
import * as ort from 'onnxruntime-node';

export type { InferenceSession, Tensor } from 'onnxruntime-node';
export { ort };
