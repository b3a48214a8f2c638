import { dataConfigSchema, ENGINES } from '@ecavg/models';
import { IDENTIFIER } from '@ecavg/protocol';
import { brokerSchema, logSchema } from '@ecavg/runtime';
import { z } from 'zod';

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
    })
    .prefault({}),
  adopt: z
    .strictObject({
      /** always: take every new version. unless-worse: keep the local model where the new one is worse here. */
      policy: z.enum(['always', 'unless-worse']).default('unless-worse'),
      /** How much accuracy on the local validation samples the new version may lose, in [0, 1]. */
      tolerance: z.number().min(0).max(1).default(0.05),
    })
    .prefault({}),
  /** What this site lets the cloud know of its data, beyond the number of samples. */
  share: z
    .strictObject({
      /** The number of training samples of each class, for the weighting feddisco. */
      labels: z.boolean().default(false),
      /** Scale of the Laplace noise on each of these numbers; 1 / scale is the epsilon of one round. */
      labelNoise: z.number().min(0).default(0),
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
  /** Also measure models on the common test set, which no node trains on; for demonstrations. */
  reportTest: z.boolean().default(false),
  /** An update without a receipt is sent again after this long. */
  resendSeconds: z.number().min(0.1).max(3600).default(10),
});

export type EdgeConfig = z.output<typeof edgeConfigSchema>;
