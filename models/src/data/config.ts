import { z } from 'zod';
import type { DataSet } from './dataset.js';
import { DATA_SETS, loadDataSet } from './sources.js';
import { partitionBySite, partitionDirichlet, type Split, standardSplit } from './split.js';
import { streamSchema } from './stream/schema.js';

/**
 * Which data a node uses and how the fleet shares it. The same settings on every node give the same
 * split, so that no sample is at two places.
 */
export const dataConfigSchema = z
  .strictObject({
    dataset: z.enum(DATA_SETS).default('mnist'),
    /** dirichlet: label-skewed shards of one data set; by-site: each gateway has the data of its own machine. */
    partition: z.enum(['dirichlet', 'by-site']).default('dirichlet'),
    /** Dirichlet concentration: small values give each gateway few classes. */
    alpha: z.number().gt(0).default(0.5),
    /** Number of gateways the data is shared between. */
    gateways: z.int().min(1).max(10_000).default(8),
    seed: z.int().min(0).default(1),
    /** Windows of a site's own sensors in place of a data set. */
    stream: streamSchema.optional(),
  })
  .prefault({});

export type DataConfig = z.output<typeof dataConfigSchema>;

export interface SharedData {
  readonly data: DataSet;
  readonly split: Split;
}

export function openData(config: DataConfig): SharedData {
  const data = loadDataSet(config.dataset, { sites: config.gateways, seed: config.seed });
  return { data, split: standardSplit(data, config.seed) };
}

/** The training samples of gateway `index` (from 0). */
export function gatewayShard({ data, split }: SharedData, config: DataConfig, index: number): Int32Array {
  const shards =
    config.partition === 'by-site'
      ? partitionBySite(data, split.train, config.gateways)
      : partitionDirichlet(data, split.train, config.gateways, config.alpha, config.seed);
  const shard = shards[index];
  if (!shard)
    throw new RangeError(
      `data.index is ${index}; with ${config.gateways} gateways it must be 0 to ${config.gateways - 1}`,
    );
  return shard;
}
