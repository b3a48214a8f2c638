import { gatewayShard, openData, splitByGroup, type View } from '@ecavg/models';
import { ConfigError, type Logger } from '@ecavg/runtime';
import type { EdgeConfig } from '../config.js';
import type { Governor } from '../power/governor.js';
import type { Login } from '../uplink/identity.js';
import { StreamData } from './streamData.js';

/** What this gateway has: training and validation samples of its own and, for demonstrations, the common test set. */
export interface LocalData {
  readonly train: View;
  readonly validation: View;
  readonly test: View | undefined;
  /** Of one sample. */
  readonly shape: readonly number[];
  /** None: unlabelled. */
  readonly classes: readonly string[];
  readonly simulated: boolean;
  /** How a stream is cut into windows, where the samples are such; see streamDigest. */
  readonly stream: string | undefined;
  /** Keeps gateways from visiting their samples in the same order. */
  readonly seed: number;
  /** Whether there is enough to train on. */
  readonly ready: boolean;
  /** Training samples. */
  readonly samples: number;
  /** The training samples as a round is to see them. */
  trainingView(seed: number): View;
}

/** Opens the data set or the stream that the settings name. */
export async function openLocalData(
  config: EdgeConfig,
  login: Login,
  governor: Governor,
  log: Logger,
): Promise<LocalData | StreamData> {
  const { stream, sources } = config.data;
  if (stream) return StreamData.open(config, stream, login, governor, log);
  if (sources.length > 0) throw new ConfigError('data.sources needs data.stream: say how readings become windows');
  return openShard(config);
}

/** This gateway's part of a built-in data set. */
export function openShard(config: EdgeConfig): LocalData {
  const shared = openData(config.data);
  const shard = gatewayShard(shared, config.data, config.data.index);
  const { data, split } = shared;
  const [validation, train] = splitByGroup(data, shard, [config.data.validationShare], config.data.seed, config.edge);
  if (!validation?.length || !train?.length) {
    throw new RangeError(`gateway ${config.edge} has ${shard.length} samples: too few to train and validate`);
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
