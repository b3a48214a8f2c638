import { ModelError } from './model.js';
import { type InferenceSession, loadRuntime } from './runtime.js';

/**
 * Opens an ONNX Runtime session on the CPU. `threads` is the whole of its parallelism: factory gateways
 * share their cores, so idle threads sleep instead of spinning.
 * @throws ModelError where ONNX Runtime does not load on this machine, or refuses the graph; `what` names it.
 */
export async function openSession(
  bytes: Uint8Array,
  threads: number,
  what: string,
  options: InferenceSession.SessionOptions = {},
): Promise<InferenceSession> {
  const { InferenceSession } = await loadRuntime();
  try {
    return await InferenceSession.create(bytes, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // With it, ONNX Runtime plans one block of memory for a whole run: no faster, and up to 1.8x the memory (docs/decisions.md).
      enableMemPattern: false,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
      ...options,
    });
  } catch (cause) {
    throw new ModelError('ECAVG_MODEL_RUNTIME', `ONNX Runtime can't load ${what}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
