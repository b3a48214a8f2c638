import { brokerSchema, identifierSchema } from '@ecavg/runtime';
import { z } from 'zod';

/** Who a gateway is, where it keeps what it must not lose, and the broker it speaks to. */
export const gatewayFields = {
  fleet: identifierSchema.default('default'),
  /** Name of this gateway; unique in its fleet. */
  edge: identifierSchema,
  model: identifierSchema,
  /** Where this gateway keeps its models, its outbox and its residual. */
  dataDir: z.string().min(1),
  broker: brokerSchema,
};

/** What this site lets the cloud know of its data, beyond the number of samples. */
export const shareSchema = z
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
  .prefault({});

export const trustSchema = z
  .strictObject({
    /** The cloud's public key, as the cloud logs it at its start. Without one, the first key seen is kept. */
    cloudKey: z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'use the 64 hex digits that the cloud logs as cloudKey')
      .optional(),
    /** File with a one-time token of `ecavg cloud token`, for a cloud that wants one. */
    tokenFile: z.string().optional(),
  })
  .prefault({});

/** An update without a receipt is sent again after this long. */
export const resendSecondsSchema = z.number().min(0.1).max(3600).default(10);

/** Who a gateway is. */
export type GatewayConfig = z.output<z.ZodObject<typeof gatewayFields>>;

/** The settings that this room works by. */
export interface UplinkConfig extends GatewayConfig {
  readonly share: z.output<typeof shareSchema>;
  readonly trust: z.output<typeof trustSchema>;
  readonly resendSeconds: number;
  /** Draws which samples are shared. */
  readonly data: { readonly seed: number };
}
