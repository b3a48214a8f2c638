import { dataConfigSchema, ENGINES, isSimulatedSet, recordingsSchema, SCHEDULES } from '@ecavg/models';
import { z } from 'zod';
import { MEND_NAMES } from './ladder.js';

const share = z.number().gt(0).lt(1);

/** `data`: where the reference samples come from, the cloud's own and never an edge's. */
export const referenceSchema = dataConfigSchema
  .unwrap()
  .extend({
    /** Recordings of a stream, in CSV files, to tune and judge on. */
    reference: recordingsSchema.optional(),
  })
  .prefault({});
export type ReferenceConfig = z.output<typeof referenceSchema>;

/** `fineTune`: transfer learning of an aggregate on the reference samples. */
export const fineTuneSchema = z
  .strictObject({
    epochs: z.int().min(0).default(3),
    learningRate: z.number().gt(0).default(0.01),
    momentum: z.number().min(0).lt(1).default(0.9),
    /** Share of the reference samples to tune on; the guard judges on the others. */
    share: share.default(0.6),
    schedule: z.enum(SCHEDULES).default('constant'),
    /** Parameters that stay as the average has them, by name; `*` for any text. */
    freeze: z.array(z.string().min(1)).default([]),
    /** Pull towards the average: l2 / 2 |w - average|^2 is added to the loss. */
    l2: z.number().min(0).default(0),
    earlyStop: z
      .strictObject({
        /** Ends after so many epochs without a smaller loss on samples that are held back, and takes the best; 0: never. */
        patience: z.int().min(0).default(0),
        share: share.default(0.2),
      })
      .prefault({}),
    /** Budget of one fine-tuning; 0: none. */
    maxSteps: z.int().min(0).default(0),
    maxSeconds: z.number().min(0).default(0),
    /** Knowledge distillation: the edges' own models teach beside the labels. */
    distill: z
      .strictObject({
        /** Share of the edges' outputs in what is learned, in [0, 1]; 0: labels alone. */
        weight: z.number().min(0).max(1).default(0),
        /** The edges that count most. */
        teachers: z.int().min(1).default(8),
      })
      .prefault({}),
    /** Raw samples that each edge is asked for, from sites that opt in (their share.samples). */
    samples: z.int().min(0).max(1_000_000).default(0),
    /** Activations that each edge is asked for of every version, from sites that opt in (their share.features): the head is tuned on them. */
    features: z
      .strictObject({
        samples: z.int().min(0).max(1_000_000).default(0),
        /** A value of the model's graph; default: what enters the last layer. */
        layer: z.string().min(1).optional(),
        epochs: z.int().min(1).default(5),
        learningRate: z.number().gt(0).default(0.02),
        l2: z.number().min(0).default(0.01),
      })
      .prefault({}),
  })
  .prefault({});
export type FineTuneConfig = z.output<typeof fineTuneSchema>;

/** `guard`: when an aggregate does harm, and what is tried then. */
export const guardSchema = z
  .strictObject({
    /** How much accuracy on the guard's samples a new version may lose, in [0, 1]. */
    tolerance: z.number().min(0).max(1).default(0.01),
    /** What is tried, in this order, before the previous version is kept. */
    ladder: z.array(z.enum(MEND_NAMES)).default(MEND_NAMES),
    /** Edges that are tried to be left out, the most suspect ones. */
    suspects: z.int().min(1).default(4),
    /** Edges whose own models are measured each round, those that count most. */
    measured: z.int().min(0).default(4),
  })
  .prefault({});
export type GuardConfig = z.output<typeof guardSchema>;

/** `engine`, what fine-tunes. ort: ONNX Runtime. tfjs-node: TensorFlow, where `@tensorflow/tfjs-node` is installed. */
export const engineSchema = z.enum(ENGINES).default('ort');
/** `threads` of a training step. */
export const threadsSchema = z.int().min(1).max(256).default(1);

/** What judges and tunes: one engine for both. */
export interface EngineConfig {
  readonly engine: z.output<typeof engineSchema>;
  readonly threads: number;
}

/** The settings' `model.seed`: fine-tuning is the same again with the same seed. */
export interface Seeded {
  readonly model: { readonly seed: number };
}

/** What fine-tunes and judges. */
export interface JudgingConfig extends EngineConfig, Seeded {
  readonly data: ReferenceConfig;
  readonly fineTune: FineTuneConfig;
  readonly guard: GuardConfig;
}

/** Whether the samples are simulated, which whoever sees figures of them is told. */
export const isSimulated = ({ data }: { readonly data: ReferenceConfig }): boolean =>
  isSimulatedSet(data.dataset) && data.stream === undefined;
