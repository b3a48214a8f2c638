import { OPTIMIZERS, ZOO } from '@ecavg/models';
import { identifierSchema } from '@ecavg/runtime';
import { z } from 'zod';

/** `model`: what the first version is made from. */
export const modelSchema = z.strictObject({
  id: identifierSchema,
  /** An architecture of the zoo, with new weights ... */
  architecture: z.enum(Object.keys(ZOO) as [string, ...string[]]).default('mlp'),
  /** ... or a float32 `.onnx` of your own. */
  file: z.string().optional(),
  seed: z.int().min(0).default(1),
  /** Of every training, on every node. Models that rebuild their input hardly learn with sgd; adamw wants learning rates near 0.003 to 0.01. */
  optimizer: z.enum(OPTIMIZERS).default('sgd'),
  /** Samples in a training step, on every node. */
  batch: z.int().min(1).max(65_536).default(32),
});
export type ModelConfig = z.output<typeof modelSchema>;

/** `publish`: how versions are sent. */
export const publishSchema = z
  .strictObject({
    /** How coarsely the step to a new version is coded; where that would cost accuracy, it is coded without loss. */
    difference: z.enum(['lossless', 'fine', 'balanced', 'tight']).default('fine'),
    /** A model of at most this size is also published in one message, for sensors that make one subscription. */
    wholeBytes: z.int().min(0).max(268_435_455).default(1_048_576),
  })
  .prefault({});
export type PublishConfig = z.output<typeof publishSchema>;

/** `canary`: a new version goes to a share of the edges first, and their reports decide. */
export const canarySchema = z
  .strictObject({
    /** 0: no trial. */
    share: z.number().min(0).max(1).default(0),
    /** Reports without which the version is withdrawn. */
    minReports: z.int().min(1).default(1),
    waitSeconds: z.number().min(0.1).max(2_000_000).default(300),
    /** Accuracy that the trying edges may lose on average, on their own validation samples, in [0, 1]. */
    tolerance: z.number().min(0).max(1).default(0.01),
    /** An edge that loses more than this is hurt, and at most this share of them may be. */
    hurtTolerance: z.number().min(0).max(1).default(0.05),
    maxHurt: z.number().min(0).max(1).default(0.34),
  })
  .prefault({});
export type CanaryConfig = z.output<typeof canarySchema>;
