import { readFile } from 'node:fs/promises';
import {
  type Artifact,
  type DataSet,
  type ModelProto,
  parseModel,
  prepareArtifact,
  rebuildsInput,
  ZOO,
  zooModel,
} from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import type { ModelConfig } from './config.js';
import { type ModelSource, Registry, type Version } from './registry.js';

/** What the settings say that the first version is made from. */
const sourceOf = ({ file, architecture, batch, optimizer }: ModelConfig): ModelSource => ({
  from: file ?? architecture,
  batch,
  optimizer,
});

/**
 * Opens the versions of a model. Where there is none yet, makes the first: the cloud ships the model that every edge starts from, so
 * that their weights can be averaged.
 * @throws ConfigError where the model does not fit the data, or the folder holds versions of another source.
 */
export async function openRegistry(
  folder: string,
  model: ModelConfig,
  data: DataSet,
): Promise<{ registry: Registry; head: Version }> {
  const registry = await Registry.open(folder, sourceOf(model));
  const head =
    registry.head ??
    (await registry.add(await initialArtifact(model, data), { round: 0, createdAt: Date.now(), metrics: {} }));
  return { registry, head };
}

async function initialArtifact(config: ModelConfig, data: DataSet): Promise<Artifact> {
  const { architecture, file, seed, batch, optimizer } = config;
  const model: ModelProto = file
    ? parseModel(await readFile(file))
    : zooModel(architecture, { input: data.shape, classes: data.classes.length, seed });
  const loss = data.classes.length > 0 ? 'cross-entropy' : 'mse';
  const rebuilds = rebuildsInput(loss);
  const zoo = ZOO[architecture];
  if (!file && rebuilds !== (zoo !== undefined && rebuildsInput(zoo.loss)))
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      rebuilds
        ? `model ${architecture} tells classes apart, and the data has none: take sensor-autoencoder`
        : `model ${architecture} rebuilds its input and tells no classes apart: take another, or leave data.stream.classes out`,
    );
  const artifact = await prepareArtifact(model, { loss, batch, sample: data.shape, optimizer: { type: optimizer } });
  const { shape } = artifact.info.output;
  if (!rebuilds && (shape.length !== 2 || shape[1] !== data.classes.length)) {
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      `model ${file ?? architecture} gives [${shape.slice(1).join(', ')}] outputs a sample; data set ${data.name} has ${data.classes.length} classes`,
    );
  }
  if (rebuilds && shape.join() !== artifact.info.input.shape.join()) {
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      `model ${file ?? architecture} gives [${shape.slice(1).join(', ')}]; without classes it must rebuild its input, [${data.shape.join(', ')}]`,
    );
  }
  return artifact;
}
