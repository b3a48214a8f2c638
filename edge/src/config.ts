import { dataConfigSchema, ENGINES, SCHEDULES, WIDTH_STEP } from '@ecavg/models';
import { IDENTIFIER } from '@ecavg/protocol';
import { brokerSchema, logSchema } from '@ecavg/runtime';
import { z } from 'zod';
import { inferSchema } from './inference/config.js';
import { powerSchema } from './power/config.js';
import { driftSchema } from './samples/drift.js';
import { sourceSchema } from './sources/config.js';

const identifier = z.string().regex(IDENTIFIER, 'use 1-64 letters, digits, "_", "-" or "."');

export const edgeConfigSchema = z.strictObject({
  fleet: identifier.default('default'),
  /** Name of this gateway; unique in its fleet. */
  edge: identifier,
  model: identifier,
  /** Where this gateway keeps its models, its outbox and its residual. */
  dataDir: z.string().min(1),
  broker: brokerSchema,
  log: logSchema,
  data: dataConfigSchema
    .unwrap()
    .extend({
      /** Which shard is this gateway's, from 0. */
      index: z.int().min(0).default(0),
      /** Share of the shard that is kept to judge models and never trained on. */
      validationShare: z.number().gt(0).lt(1).default(0.2),
      /** Where the readings of data.stream come from. */
      sources: z.array(sourceSchema).max(64).default([]),
      /** How much of a stream is kept to train on and to judge with: an unbiased sample of all that came. */
      store: z
        .strictObject({
          windows: z.int().min(2).max(10_000_000).default(20_000),
          maxMegabytes: z.number().gt(0).max(1_000_000).default(512),
        })
        .prefault({}),
      /** Training windows that a gateway must have before it takes part in rounds. */
      minSamples: z.int().min(1).default(64),
      /** Training: a sensor is missing from a sample with this probability, so that the model learns to do without it. */
      sensorDropout: z.number().min(0).max(0.9).default(0),
      drift: driftSchema,
      /** How often data quality is reported. */
      qualitySeconds: z.number().min(1).max(86_400).default(60),
    })
    .prefault({}),
  train: z
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
    .prefault({}),
  adopt: z
    .strictObject({
      /**
       * always: take every new version. unless-worse: keep the local model where the new one is worse here. blend: the mixture of
       * both that does best here. keep: serve the local model whatever comes.
       */
      policy: z.enum(['always', 'unless-worse', 'blend', 'keep']).default('unless-worse'),
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
    .prefault({}),
  /** What this site lets the cloud know of its data, beyond the number of samples. */
  share: z
    .strictObject({
      /** The number of training samples of each class, for the weighting feddisco. */
      labels: z.boolean().default(false),
      /** Scale of the Laplace noise on each of these numbers; 1 / scale is the epsilon of one round. */
      labelNoise: z.number().min(0).default(0),
      /** Training samples that this site gives to the cloud, raw, where the cloud asks for some; 0: none leaves the gateway. */
      samples: z.int().min(0).max(1_000_000).default(0),
      /** Training samples whose activations at a layer of the model it gives, where the cloud asks for some. */
      features: z.int().min(0).max(1_000_000).default(0),
    })
    .prefault({}),
  trust: z
    .strictObject({
      /** The cloud's public key, as the cloud logs it at its start. Without one, the first key seen is kept. */
      cloudKey: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'use the 64 hex digits that the cloud logs as cloudKey')
        .optional(),
      /** File with a one-time token of `ecavg cloud token`, for a cloud that wants one. */
      tokenFile: z.string().optional(),
    })
    .prefault({}),
  power: powerSchema,
  /** Answers to sensors that ask the model in service. */
  infer: inferSchema,
  /** Also measure models on the common test set, which no node trains on; for demonstrations. */
  reportTest: z.boolean().default(false),
  /** An update without a receipt is sent again after this long. */
  resendSeconds: z.number().min(0.1).max(3600).default(10),
});

export type EdgeConfig = z.output<typeof edgeConfigSchema>;
