import { CodedError } from '@ecavg/protocol/errors';
import './noTelemetry.js';
import type * as Ort from 'onnxruntime-node';
import { ModelError } from './model.js';

export type { InferenceSession, Tensor } from 'onnxruntime-node';

let loaded: typeof Ort | undefined;

/**
 * ONNX Runtime, loaded with the first session: a program that only builds graphs or reads data does not pay for its native library.
 * The variable that `noTelemetry.js` sets is read as it loads.
 * @throws ModelError where the library does not load on this machine.
 */
export async function loadRuntime(): Promise<typeof Ort> {
  try {
    loaded ??= await import('onnxruntime-node');
  } catch (cause) {
    throw new ModelError('ECAVG_MODEL_SHAPE', `ONNX Runtime does not load here: ${(cause as Error).message}`, {
      cause,
    });
  }
  return loaded;
}

/** A float32 tensor of this shape, row-major; `openSession` must have been waited for. */
export function floatTensorOf(data: Float32Array, shape: readonly number[]): Ort.Tensor {
  return new (runtime().Tensor)('float32', data, [...shape]);
}

/** An int32 tensor of this shape, row-major; `openSession` must have been waited for. */
export function intTensorOf(data: Int32Array, shape: readonly number[]): Ort.Tensor {
  return new (runtime().Tensor)('int32', data, [...shape]);
}

function runtime(): typeof Ort {
  if (!loaded)
    throw new CodedError('ECAVG_MODEL_SHAPE', 'a tensor was made before ONNX Runtime was loaded: open a session first');
  return loaded;
}
