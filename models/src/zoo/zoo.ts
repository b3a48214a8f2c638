import type { Loss } from '../losses/names.js';
import { rebuildsInput } from '../losses/target.js';
import { type Dim, GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError, type ModelProto } from '../onnx/model.js';
import { Random } from '../random.js';
import { mobileNetV2, resNet50 } from './deep.js';
import { Layers } from './layers.js';
import type { ModelSpec } from './spec.js';

interface ZooEntry {
  readonly description: string;
  /** Rank of one sample: 3 for an image [channels, rows, columns], 2 for a signal [channels, samples]. */
  readonly rank: number | undefined;
  readonly loss: Loss;
  readonly body: (l: Layers, x: string, spec: ModelSpec, output: string) => void;
}

/** The paper's MNIST model: one hidden layer (arXiv:2310.03823). */
function mlp(l: Layers, x: string, { input, classes }: ModelSpec, output: string): void {
  const width = input.reduce((a, d) => a * d, 1);
  l.dense('head', l.relu(l.dense('hidden', l.flatten(x), width, 128)), 128, classes, output);
}

/** Two convolutions with pooling and a linear head. */
function cnnSmall(l: Layers, x: string, { input, classes }: ModelSpec, output: string): void {
  const [channels = 1, rows = 1, columns = 1] = input;
  let h = l.maxPool(l.relu(l.conv('conv1', x, channels, 16, [3, 3], { padding: 1 })), [2, 2]);
  h = l.maxPool(l.relu(l.conv('conv2', h, 16, 32, [3, 3], { padding: 1 })), [2, 2]);
  const width = 32 * Math.floor(rows / 4) * Math.floor(columns / 4);
  l.dense('head', l.flatten(h), width, classes, output);
}

/** 1-D convolutional classifier for windows of sensor signals: wide first kernels act as filter banks. */
function sensorCnn1d(l: Layers, x: string, { input, classes }: ModelSpec, output: string): void {
  let h = l.maxPool(l.relu(l.conv('conv1', x, input[0] ?? 1, 16, [33], { stride: 2, padding: 16 })), [4]);
  h = l.maxPool(l.relu(l.conv('conv2', h, 16, 32, [17], { padding: 8 })), [2]);
  h = l.relu(l.conv('conv3', h, 32, 32, [9], { padding: 4 }));
  l.dense('head', l.pool(h), 32, classes, output);
}

/** Convolutional autoencoder of signals: a third of the values in the middle; rebuilds its input. */
function sensorAutoencoder(l: Layers, x: string, { input }: ModelSpec, output: string): void {
  const [channels = 1, length = 1] = input;
  if (length % 8 !== 0)
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `sensor-autoencoder takes signals whose length is a multiple of 8; got ${length}`,
    );
  let h = l.relu(l.conv('encoder1', x, channels, 16, [8], { stride: 2, padding: 3 }));
  h = l.relu(l.conv('encoder2', h, 16, 16, [8], { stride: 2, padding: 3 }));
  h = l.conv('code', h, 16, 4, [8], { stride: 2, padding: 3 });
  h = l.relu(l.upConv1d('decoder1', h, 4, 16));
  h = l.relu(l.upConv1d('decoder2', h, 16, 16));
  l.upConv1d('decoder3', h, 16, channels, output);
}

const ENTRIES: Readonly<Record<string, ZooEntry>> = {
  mlp: { description: 'one hidden layer of 128 units', rank: undefined, loss: 'cross-entropy', body: mlp },
  'cnn-small': {
    description: '2 convolutions, max pooling, linear head',
    rank: 3,
    loss: 'cross-entropy',
    body: cnnSmall,
  },
  mobilenetv2: { description: 'MobileNetV2 for 32 x 32 images', rank: 3, loss: 'cross-entropy', body: mobileNetV2 },
  resnet50: { description: 'ResNet50 for 32 x 32 images', rank: 3, loss: 'cross-entropy', body: resNet50 },
  'sensor-cnn1d': {
    description: '3 one-dimensional convolutions, global pooling',
    rank: 2,
    loss: 'cross-entropy',
    body: sensorCnn1d,
  },
  'sensor-autoencoder': {
    description: '1-D convolutional autoencoder for unlabelled signals',
    rank: 2,
    loss: 'mse',
    body: sensorAutoencoder,
  },
};

/** What there is to say of a model of the zoo. */
export interface ZooInfo {
  readonly description: string;
  /** The loss it is meant for: mse for models that rebuild their input. */
  readonly loss: Loss;
}

/** The models that `zooModel` builds, by name. */
export const ZOO: Readonly<Record<string, ZooInfo>> = ENTRIES;

/**
 * An inference model with freshly initialised weights: input `x` [N, ...spec.input]; output `logits`
 * [N, spec.classes], or `rebuilt` of the input's shape; all float32. The same spec gives the same bytes.
 * @throws ModelError for an unknown name or a sample shape of the wrong rank.
 */
export function zooModel(name: string, spec: ModelSpec): ModelProto {
  const entry = Object.hasOwn(ENTRIES, name) ? ENTRIES[name] : undefined;
  if (!entry)
    throw new ModelError(
      'ECAVG_RECORD_UNKNOWN',
      `no model ${JSON.stringify(name)} in the zoo: there are ${Object.keys(ENTRIES).join(', ')}`,
    );
  if (entry.rank !== undefined && entry.rank !== spec.input.length) {
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `model ${name} takes samples of rank ${entry.rank}; the data has shape [${spec.input.join(', ')}]`,
    );
  }
  const b = new GraphBuilder();
  const x = b.input('x', DataType.FLOAT, ['N', ...spec.input]);
  const [output, dims]: [string, Dim[]] = rebuildsInput(entry.loss)
    ? ['rebuilt', ['N', ...spec.input]]
    : ['logits', ['N', spec.classes]];
  entry.body(new Layers(b, new Random(spec.seed, `zoo/${name}`)), x, spec, output);
  b.output(output, DataType.FLOAT, dims);
  return b.model({ name });
}
