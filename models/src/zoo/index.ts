import { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError, type ModelProto } from '../onnx/model.js';
import { Random } from '../random.js';
import { conv, dense, maxPool } from './layers.js';

/** What a data set asks of a model: the shape of one sample and the number of classes. */
export interface ModelSpec {
  readonly input: readonly number[];
  readonly classes: number;
  /** Seed of the initial weights. */
  readonly seed: number;
}

interface ZooEntry {
  readonly description: string;
  /** Rank of one sample: 3 for an image [channels, rows, columns], 2 for a signal [channels, samples]. */
  readonly rank: number | undefined;
  readonly body: (b: GraphBuilder, random: Random, x: string, spec: ModelSpec) => void;
}

const OUTPUT = 'logits';
const flatten = (b: GraphBuilder, x: string): string => b.op('Flatten', [x], { axis: 1 });
const relu = (b: GraphBuilder, x: string): string => b.op('Relu', [x]);

/** The paper's MNIST model: one hidden layer (arXiv:2310.03823). */
function mlp(b: GraphBuilder, random: Random, x: string, { input, classes }: ModelSpec): void {
  const width = input.reduce((a, d) => a * d, 1);
  const hidden = relu(b, dense(b, random, 'hidden', flatten(b, x), width, 128));
  dense(b, random, 'head', hidden, 128, classes, OUTPUT);
}

/** Two convolutions with pooling and a linear head. */
function cnnSmall(b: GraphBuilder, random: Random, x: string, { input, classes }: ModelSpec): void {
  const [channels = 1, rows = 1, columns = 1] = input;
  let h = maxPool(b, relu(b, conv(b, random, 'conv1', x, channels, 16, [3, 3], { padding: 1 })), [2, 2]);
  h = maxPool(b, relu(b, conv(b, random, 'conv2', h, 16, 32, [3, 3], { padding: 1 })), [2, 2]);
  const width = 32 * Math.floor(rows / 4) * Math.floor(columns / 4);
  dense(b, random, 'head', flatten(b, h), width, classes, OUTPUT);
}

/** 1-D convolutional classifier for windows of sensor signals: wide first kernels act as filter banks. */
function sensorCnn1d(b: GraphBuilder, random: Random, x: string, { input, classes }: ModelSpec): void {
  const [channels = 1] = input;
  let h = maxPool(b, relu(b, conv(b, random, 'conv1', x, channels, 16, [33], { stride: 2, padding: 16 })), [4]);
  h = maxPool(b, relu(b, conv(b, random, 'conv2', h, 16, 32, [17], { padding: 8 })), [2]);
  h = relu(b, conv(b, random, 'conv3', h, 32, 32, [9], { padding: 4 }));
  dense(b, random, 'head', flatten(b, b.op('GlobalAveragePool', [h])), 32, classes, OUTPUT);
}

const ENTRIES: Readonly<Record<string, ZooEntry>> = {
  mlp: { description: 'one hidden layer of 128 units', rank: undefined, body: mlp },
  'cnn-small': { description: '2 convolutions, max pooling, linear head', rank: 3, body: cnnSmall },
  'sensor-cnn1d': { description: '3 one-dimensional convolutions, global pooling', rank: 2, body: sensorCnn1d },
};

/** Names of the architectures that `zooModel` builds, with a line about each. */
export const ZOO: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(ENTRIES).map(([name, e]) => [name, e.description]),
);

/**
 * An inference model with freshly initialised weights: input `x` [N, ...spec.input], output `logits`
 * [N, spec.classes], both float32. The same spec gives the same bytes.
 * @throws ModelError for an unknown name or a sample shape of the wrong rank.
 */
export function zooModel(name: string, spec: ModelSpec): ModelProto {
  const entry = Object.hasOwn(ENTRIES, name) ? ENTRIES[name] : undefined;
  if (!entry)
    throw new ModelError(`no model ${JSON.stringify(name)} in the zoo: there are ${Object.keys(ENTRIES).join(', ')}`);
  if (entry.rank !== undefined && entry.rank !== spec.input.length) {
    throw new ModelError(
      `model ${name} takes samples of rank ${entry.rank}; the data has shape [${spec.input.join(', ')}]`,
    );
  }
  const b = new GraphBuilder();
  const x = b.input('x', DataType.FLOAT, ['N', ...spec.input]);
  entry.body(b, new Random(spec.seed, `zoo/${name}`), x, spec);
  b.output(OUTPUT, DataType.FLOAT, ['N', spec.classes]);
  return b.model({ name });
}
