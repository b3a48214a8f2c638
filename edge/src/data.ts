import { gatewayShard, openData, splitByGroup, type View } from '@ecavg/models';
import type { EdgeConfig } from './config.js';

/** What this gateway has: training and validation samples of its own and, for demonstrations, the common test set. */
export interface LocalData {
  readonly train: View;
  readonly validation: View;
  readonly test: View | undefined;
}

export function openLocalData(config: EdgeConfig): LocalData {
  const shared = openData(config.data);
  const shard = gatewayShard(shared, config.data, config.data.index);
  const { data, split } = shared;
  const [validation, train] = splitByGroup(data, shard, [config.data.validationShare], config.data.seed, config.edge);
  if (!validation?.length || !train?.length) {
    throw new RangeError(`gateway ${config.edge} has ${shard.length} samples: too few to train and validate`);
  }
  return {
    train: { data, indices: train },
    validation: { data, indices: validation },
    test: config.reportTest ? { data, indices: split.test } : undefined,
  };
}
