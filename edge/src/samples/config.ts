import { dataConfigSchema } from '@ecavg/models/settings';
import { z } from 'zod';
import { sourceSchema } from '../sources/table.js';
import type { GatewayConfig } from '../uplink/config.js';
import { driftSchema } from './drift.js';
import { transformSchema } from './transforms.js';

export const dataSchema = dataConfigSchema
  .unwrap()
  .extend({
    /** Which shard is this gateway's, from 0. */
    index: z.int().min(0).default(0),
    /** Share of the shard that is kept to judge models and never trained on. */
    validationShare: z.number().gt(0).lt(1).default(0.2),
    /** Where the readings of data.stream come from. */
    sources: z.array(sourceSchema).max(64).default([]),
    /** What readings go through, in this order, before they become windows: units of this site, noise. */
    transforms: z.array(transformSchema).max(16).default([]),
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
  .prefault({});

/** Also measure models on the common test set, which no node trains on; for demonstrations. */
export const reportTestSchema = z.boolean().default(false);

/** The settings that this room works by. */
export interface SamplesConfig extends Pick<GatewayConfig, 'fleet' | 'edge' | 'dataDir' | 'broker'> {
  readonly data: z.output<typeof dataSchema>;
  readonly reportTest: boolean;
}
