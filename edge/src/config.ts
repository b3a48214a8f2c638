import { extensionsSchema, logSchema } from '@ecavg/runtime';
import { z } from 'zod';
import { inferSchema } from './inference/config.js';
import { adoptSchema, trainSchema } from './learning/config.js';
import { powerSchema } from './power/config.js';
import { dataSchema, reportTestSchema } from './samples/config.js';
import { TRANSFORMS } from './samples/transforms.js';
import { SOURCES } from './sources/table.js';
import { gatewayFields, resendSecondsSchema, shareSchema, trustSchema } from './uplink/config.js';

/** A gateway's settings: each room says what its own section holds. */
export const edgeConfigSchema = z.strictObject({
  ...gatewayFields,
  log: logSchema,
  data: dataSchema,
  train: trainSchema,
  adopt: adoptSchema,
  share: shareSchema,
  trust: trustSchema,
  power: powerSchema,
  /** Answers to sensors that ask the model in service. */
  infer: inferSchema,
  reportTest: reportTestSchema,
  resendSeconds: resendSecondsSchema,
  extensions: extensionsSchema,
});

/** What a gateway's extensions may add to. */
export const edgeExtensions = { sources: SOURCES, transforms: TRANSFORMS };

export type EdgeConfig = z.output<typeof edgeConfigSchema>;
