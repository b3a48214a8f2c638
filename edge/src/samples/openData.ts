import { gatewayShard, openData, splitByGroup, type View } from '@ecavg/models';
import { ArgumentError } from '@ecavg/protocol/errors';
import { ConfigError, type Logger } from '@ecavg/runtime';
import type { Governor } from '../power/governor.js';
import type { Login } from '../uplink/identity.js';
import type { SamplesConfig } from './config.js';
import type { LocalData } from './localData.js';
import { StreamData } from './streamData.js';

/** Opens the data set or the stream that the settings name. */
export async function openLocalData(
  config: SamplesConfig,
  login: Login,
  governor: Governor,
  log: Logger,
): Promise<LocalData | StreamData> {
  const { stream, sources } = config.data;
  if (stream) return StreamData.open({ config, stream, login, disk: governor, log });
  if (sources.length > 0)
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      'data.sources needs data.stream: say how readings become windows',
    );
  return openShard(config);
}

/** This gateway's part of a built-in data set. */
export function openShard(config: SamplesConfig): LocalData {
  const shared = openData(config.data);
  const shard = gatewayShard(shared, config.data, config.data.index);
  const { data, split } = shared;
  const [validation, train] = splitByGroup(data, shard, [config.data.validationShare], config.data.seed, config.edge);
  if (!validation?.length || !train?.length) {
    throw new ArgumentError(
      'ECAVG_DATA_SPLIT',
      `gateway ${config.edge} has ${shard.length} samples: too few to train and validate`,
    );
  }
  const view: View = { data, indices: train };
  return {
    train: view,
    validation: { data, indices: validation },
    test: config.reportTest ? { data, indices: split.test } : undefined,
    shape: data.shape,
    classes: data.classes,
    simulated: data.simulated,
    stream: undefined,
    seed: config.data.index,
    ready: true,
    samples: train.length,
    trainingView: () => view,
  };
}
