import { ENGINES, SCHEDULES, WIDTH_STEP } from '@ecavg/models/settings';
import { z } from 'zod';
import type { UplinkConfig } from '../uplink/config.js';
import { ADOPTION } from './adoption.js';

export const trainSchema = z
  .strictObject({
    /** ort: ONNX Runtime. tfjs-node: TensorFlow, where `@tensorflow/tfjs-node` is installed. */
    engine: z.enum(ENGINES).default('ort'),
    /** CPU threads of a training step. */
    threads: z.int().min(1).max(256).default(1),
    /** FedBN: batch normalisation stays on this gateway, and is no part of its updates. */
    localBatchNorm: z.boolean().default(false),
    /** FedPer: the last layer stays on this gateway. */
    localHead: z.boolean().default(false),
    /** Other tensors that stay, by name; `*` for any text. */
    localTensors: z.array(z.string().min(1)).default([]),
    /** HeteroFL: share of the hidden units that this gateway trains and serves, in sixteenths; for weak hardware. */
    width: z.number().gt(0).max(1).multipleOf(WIDTH_STEP).default(1),
  })
  .prefault({});
export type TrainConfig = z.output<typeof trainSchema>;

export const adoptSchema = z
  .strictObject({
    /** What becomes of a new version; see adoption.ts. */
    policy: ADOPTION.schema.default('unless-worse'),
    /** How much accuracy on the local validation samples the new version may lose, in [0, 1]. */
    tolerance: z.number().min(0).max(1).default(0.05),
    /** Trains what was adopted once more on this gateway's samples, for this gateway alone; taken where it does better here. */
    fineTune: z
      .strictObject({
        epochs: z.int().min(0).max(1000).default(0),
        learningRate: z.number().gt(0).default(0.01),
        momentum: z.number().min(0).lt(1).default(0.9),
        schedule: z.enum(SCHEDULES).default('cosine'),
      })
      .prefault({}),
  })
  .prefault({});
export type AdoptConfig = z.output<typeof adoptSchema>;

/** The settings that this room works by. */
export interface LearningConfig extends Pick<UplinkConfig, 'fleet' | 'edge' | 'model' | 'share'> {
  readonly train: TrainConfig;
  readonly adopt: AdoptConfig;
}
