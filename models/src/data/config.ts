import { ArgumentError } from '@ecavg/protocol/errors';
import { z } from 'zod';
import type { DataSet } from './dataset.js';
import { DATA_SETS, loadDataSet } from './sources.js';
import { partitionBySite, partitionDirichlet, type Split, standardSplit } from './split.js';
import { streamSchema } from './stream/schema.js';

/** How the training part of a data set is shared between the gateways of a fleet. */
const PARTITIONS = ['dirichlet', 'by-site'] as const;

/**
 * Which data a node uses and how the fleet shares it. The same settings on every node give the same
 * split, so that no sample is at two places.
 */
export const dataConfigSchema = z
  .strictObject({
    dataset: z.enum(DATA_SETS).default('mnist'),
    /** dirichlet: label-skewed shards of one data set; by-site: each gateway has the data of its own machine. */
    partition: z.enum(PARTITIONS).default('dirichlet'),
    /** Dirichlet concentration: small values give each gateway few classes. */
    alpha: z.number().gt(0).default(0.5),
    /** Number of gateways the data is shared between. */
    gateways: z.int().min(1).max(10_000).default(8),
    seed: z.int().min(0).default(1),
    /** Windows of a site's own sensors in place of a data set. */
    stream: streamSchema.optional(),
  })
  .prefault({});

/** The checked settings of `data:`, with their defaults. */
export type DataConfig = z.output<typeof dataConfigSchema>;

/** A data set with its standard split. */
export interface SharedData {
  readonly data: DataSet;
  readonly split: Split;
}

type Cut = (shared: SharedData, config: DataConfig) => Int32Array[];

const CUTS: Readonly<Record<(typeof PARTITIONS)[number], Cut>> = {
  dirichlet: ({ data, split }, { gateways, alpha, seed }) =>
    partitionDirichlet(data, split.train, gateways, alpha, seed),
  'by-site': ({ data, split }, { gateways }) => partitionBySite(data, split.train, gateways),
};

/**
 * Loads the data set that the settings name, and splits it.
 * @throws Error where the package that holds the data is not installed.
 */
export function openData(config: DataConfig): SharedData {
  const data = loadDataSet(config.dataset, { sites: config.gateways, seed: config.seed });
  return { data, split: standardSplit(data, config.seed) };
}

/**
 * The training samples of gateway `index` (from 0), as indices of the data set.
 * @throws RangeError for an index that is none of the fleet's, or data that can't be shared this way.
 */
export function gatewayShard(shared: SharedData, config: DataConfig, index: number): Int32Array {
  const shard = CUTS[config.partition](shared, config)[index];
  if (!shard)
    throw new ArgumentError(
      'ECAVG_CONFIG_FIELD',
      `data.index is ${index}; with ${config.gateways} gateways it must be 0 to ${config.gateways - 1}`,
    );
  return shard;
}
