import { z } from 'zod';
import { receptionRecordSchema, roundRecordSchema } from '../rounds/history.js';
import { MEASUREMENTS } from '../telemetry/points.js';
import { roleSchema } from './accounts.js';

/** What the API takes and gives; OpenAPI is made from it, and answers are held against it. */

export const errorSchema = z.object({
  error: z.string(),
  code: z.string().describe('docs/errors.md says what each means'),
});

/** Which model is asked for; the first that fits. */
export const whichSchema = z.object({
  fleet: z.string().optional().describe('default: that of the first model'),
  model: z.string().optional().describe('default: the first'),
});
export type Which = z.output<typeof whichSchema>;

export const sessionSchema = z.object({
  name: z.string(),
  role: roleSchema,
  by: z.enum(['session', 'token', 'anonymous']),
});
export type SessionAnswer = z.output<typeof sessionSchema>;
export const signInSchema = z.object({ name: z.string().min(1).max(64), password: z.string().min(1).max(1024) });

export const modelSchema = z.object({
  fleet: z.string(),
  model: z.string(),
  version: z.int().describe('in force'),
  online: z.int().describe('gateways that can train now'),
  edges: z.int().describe('gateways that are known'),
});
export type ModelAnswer = z.output<typeof modelSchema>;
export const fleetSchema = z.object({ fleet: z.string(), models: z.array(modelSchema) });

const reportSchema = z.object({
  event: z.string(),
  round: z.int(),
  version: z.int(),
  values: z.record(z.string(), z.number()).describe('docs/telemetry.md lists them, in snake case, for ecavg_edge'),
});
export const edgeSchema = z.object({
  edge: z.string(),
  online: z.boolean(),
  samples: z.int(),
  software: z.string(),
  lastSeen: z.number(),
  reports: z.record(z.string(), reportSchema).describe('the newest of each kind'),
});
export type EdgeAnswer = z.output<typeof edgeSchema>;

export const versionSchema = z.object({
  version: z.int(),
  state: z.enum(['current', 'canary', 'withdrawn']),
  sha256: z.string(),
  parent: z.string().nullable(),
  round: z.int().describe('0: the model that the fleet began with'),
  createdAt: z.number(),
  restores: z.int().optional().describe('the earlier version whose weights these are'),
  metrics: z.record(z.string(), z.number()),
});
export type VersionAnswer = z.output<typeof versionSchema>;

export const stateSchema = z.object({
  fleet: z.string(),
  model: z.string(),
  architecture: z.string(),
  classes: z.boolean().describe('false: accuracies are explained variance'),
  simulatedData: z.boolean(),
  finished: z.boolean(),
  connected: z.boolean().describe('false: the broker is not reached, and what is said of gateways is from before'),
  hurtTolerance: z.number(),
  round: z
    .object({
      round: z.int(),
      phase: z.enum(['open', 'closing', 'done']),
      openedAt: z.number(),
      deadlineAt: z.number(),
      participants: z.array(z.string()),
    })
    .nullable(),
  accepted: z.array(z.string()).describe('gateways whose updates this round has'),
  members: z.array(edgeSchema),
  versions: z.array(versionSchema).describe('the newest 200'),
  pinned: z.int().nullable(),
  wire: z.object({
    messages: z.int(),
    bytes: z.int(),
    rejected: z.record(z.string(), z.int()),
  }),
  telemetry: z.enum(['influxdb', 'embedded']),
});
export type StateAnswer = z.output<typeof stateSchema>;

export const limitSchema = z.object({ limit: z.coerce.number().int().min(1).max(10_000).default(100) });

export const roundsSchema = z.object({
  rounds: z.array(roundRecordSchema).describe('newest first'),
  receptions: z.array(receptionRecordSchema).describe('newest first'),
});
export type RoundsAnswer = z.output<typeof roundsSchema>;

export const controlSchema = z.object({
  version: z.int().min(1).optional().describe('default: the one before (rollback), the one in force (pin)'),
});

export const measurementSchema = z.enum(MEASUREMENTS);
export const pointSchema = z.object({
  measurement: measurementSchema,
  tags: z.record(z.string(), z.string()),
  fields: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  at: z.number(),
});
