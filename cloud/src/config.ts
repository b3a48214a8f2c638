import { brokerSchema, extensionsSchema, identifierSchema, logSchema } from '@ecavg/runtime';
import { z } from 'zod';
import { strategySchema } from './aggregation/config.js';
import { enrolmentSchema, selectionSchema } from './fleet/config.js';
import { httpSchema } from './http/config.js';
import { codecSchema } from './inbox/config.js';
import { engineSchema, fineTuneSchema, guardSchema, referenceSchema, threadsSchema } from './judging/config.js';
import { roundsSchema } from './rounds/config.js';
import { telemetrySchema } from './telemetry/config.js';
import { canarySchema, modelSchema, publishSchema } from './versions/config.js';

/** Settings of one model of a cloud. Each section's schema is in the room that it is for. */
export const cloudConfigSchema = z.strictObject({
  fleet: identifierSchema.default('default'),
  dataDir: z.string().min(1),
  broker: brokerSchema,
  log: logSchema,
  http: httpSchema,
  model: modelSchema,
  data: referenceSchema,
  rounds: roundsSchema,
  selection: selectionSchema,
  strategy: strategySchema,
  publish: publishSchema,
  codec: codecSchema,
  fineTune: fineTuneSchema,
  guard: guardSchema,
  canary: canarySchema,
  engine: engineSchema,
  threads: threadsSchema,
  enrolment: enrolmentSchema,
  telemetry: telemetrySchema,
  /** ES modules that add combiners and weightings (docs/extensions.md): paths from the settings file, or packages. */
  extensions: extensionsSchema,
});

export type CloudConfig = z.output<typeof cloudConfigSchema>;
