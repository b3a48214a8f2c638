import { PRESET_NAMES } from '@ecavg/protocol';
import { brokerSchema, identifierSchema, logSchema } from '@ecavg/runtime';
import { z } from 'zod';
import { enrolmentSchema } from '../fleet/config.js';
import { publishSchema } from '../versions/config.js';

/** Settings of `ecavg cloud --role regional`. */
export const regionalConfigSchema = z.strictObject({
  role: z.literal('regional'),
  /** Fleet of its own edges; another one than upstream's where both use one broker. */
  fleet: identifierSchema,
  dataDir: z.string().min(1),
  /** Where its edges are. */
  broker: brokerSchema,
  log: logSchema,
  model: z.strictObject({ id: identifierSchema }),
  /** The cloud, or a further region, that this one is like an edge to. */
  upstream: z.strictObject({
    fleet: identifierSchema,
    /** Its name there; unique among that fleet's edges. */
    name: identifierSchema,
    broker: brokerSchema,
    /** The cloud's public key. Without one, the first key seen is kept. */
    cloudKey: z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'use the 64 hex digits that the cloud logs as cloudKey')
      .optional(),
    /** File with a one-time token of `ecavg cloud token`, for a cloud that wants one. */
    tokenFile: z.string().optional(),
    /** How the partial aggregate is coded; lossless: the same result as with one aggregator. */
    preset: z.enum(PRESET_NAMES).exclude(['auto']).default('lossless'),
    resendSeconds: z.number().min(0.1).max(3600).default(10),
    /** Back after a minute or more away, it waits for a random part of this before it catches up: not all regions at once. */
    catchUpSeconds: z.number().min(0).max(3600).default(10),
  }),
  rounds: z
    .strictObject({
      /** Edges that must be online before this aggregator is online for the cloud. */
      minEdges: z.int().min(1).default(1),
      /** Share of its edges that were online at the opening whose updates are wanted at the deadline; fewer are sent as well. */
      quorum: z.number().gt(0).max(1).default(0.6),
      /** Its deadline: this share of the time that the cloud gives. */
      deadlineShare: z.number().gt(0).lt(1).default(0.8),
      /** How long to wait for its edges' reports before one is made of them. */
      settleSeconds: z.number().min(0).default(20),
    })
    .prefault({}),
  publish: publishSchema.unwrap().pick({ wholeBytes: true }).prefault({}),
  enrolment: enrolmentSchema,
});

export type RegionalConfig = z.output<typeof regionalConfigSchema>;
