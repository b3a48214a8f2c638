import { pack, unpack } from '@ecavg/protocol';
import { z } from 'zod';
import { ModelError } from '../onnx/model.js';

const progressSchema = z.object({
  epoch: z.int().min(0),
  /** Batches of this epoch that are done. */
  position: z.int().min(0),
  steps: z.int().min(0),
  lossSum: z.number(),
  correct: z.number(),
  seen: z.int().min(0),
});

/** How far a run has come, with the sums of its current epoch. */
export type Progress = z.infer<typeof progressSchema>;

export const START: Progress = { epoch: 0, position: 0, steps: 0, lossSum: 0, correct: 0, seen: 0 };

const schema = z.object({
  v: z.literal(1),
  seed: z.number(),
  samples: z.int(),
  progress: progressSchema,
  tensors: z.record(z.string(), z.instanceof(Uint8Array)),
});

export interface Checkpoint {
  readonly seed: number;
  /** Samples of the view: a checkpoint of other data is refused. */
  readonly samples: number;
  readonly progress: Progress;
  /** Parameters, buffers, optimiser state and FedProx base, by name. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

export function encodeCheckpoint({ seed, samples, progress, tensors }: Checkpoint): Uint8Array {
  const bytes = (t: Float32Array): Uint8Array => new Uint8Array(t.buffer, t.byteOffset, t.byteLength);
  const named = Object.fromEntries([...tensors].map(([name, t]) => [name, bytes(t)]));
  return pack({ v: 1, seed, samples, progress, tensors: named });
}

/** @throws ModelError for bytes that are no checkpoint. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  try {
    const { seed, samples, progress, tensors } = schema.parse(unpack(bytes));
    const floats = Object.entries(tensors).map(
      ([name, t]) => [name, new Float32Array(new Uint8Array(t).buffer)] as const,
    );
    return { seed, samples, progress, tensors: new Map(floats) };
  } catch (cause) {
    throw new ModelError('ECAVG_MODEL_SHAPE', `not a checkpoint of a training run: ${(cause as Error).message}`, {
      cause,
    });
  }
}
