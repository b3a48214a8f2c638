import { GraphBuilder } from '../onnx/builder.js';
import { DataType, type ModelProto, makeNode } from '../onnx/model.js';
import { Random } from '../random.js';
import type { TrainingInfo } from './info.js';
import { CLASS_LOSSES, type Loss, type LossOptions } from './losses.js';
import type { TrainingGraphOptions } from './trainingGraph.js';

/** Small models, at least one for each op and loss: what gradients are checked on, by differences and by another engine. */

export const volume = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);
export const BATCH = 4;

export interface Case {
  readonly sample: number[];
  readonly loss?: Loss;
  readonly lossOptions?: LossOptions;
  readonly batchNorm?: 'train' | 'frozen';
  readonly opset?: number;
  /** Emits the layers under test on `x` and returns the output; `param` makes a random parameter. */
  readonly build: (
    b: GraphBuilder,
    x: string,
    param: (name: string, dims: number[], positive?: boolean) => string,
  ) => string;
}

/** A case made ready: its model, random weights, how to build its training graph, and a batch. */
export interface MadeCase {
  readonly model: ModelProto;
  readonly weights: Map<string, Float32Array>;
  readonly options: TrainingGraphOptions;
  readonly noise: (n: number) => Float32Array;
  batch(info: TrainingInfo): Batch;
}

export interface Batch {
  readonly x: Float32Array;
  readonly y: Int32Array | Float32Array;
  readonly weight: Float32Array;
  readonly masks: Map<string, Float32Array>;
}

/**
 * The input passes through an added parameter `shift` first, so that each op's gradient with respect to its
 * input is checked too.
 */
export function makeCase({ sample, loss = 'mse', lossOptions, batchNorm, opset, build }: Case): MadeCase {
  const random = new Random(7, 'gradients');
  const noise = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal());
  const weights = new Map<string, Float32Array>();
  const b = new GraphBuilder();
  const param = (name: string, dims: number[], positive = false): string => {
    const data = noise(volume(dims)).map((v) => (positive ? 0.5 + v * v : v * 0.5));
    weights.set(name, data);
    return b.weights(name, dims, data);
  };
  const x = b.input('x', DataType.FLOAT, ['N', ...sample]);
  const out = build(b, b.op('Add', [x, param('shift', sample)]), param);
  b.output(out, DataType.FLOAT, []);
  const options: TrainingGraphOptions = {
    loss,
    batch: BATCH,
    sample,
    gradients: true,
    ...(lossOptions && { lossOptions }),
    ...(batchNorm && { batchNorm }),
  };
  const model = b.model({ name: 'case', ...(opset && { opset }) });
  return { model, weights, options, noise, batch: (info) => randomBatch(info, noise, random) };
}

function randomBatch(info: TrainingInfo, noise: MadeCase['noise'], random: Random): Batch {
  const [, classes = 1] = info.output.shape;
  const masks = info.masks.map(({ name, shape }) => {
    return [name, noise(volume(shape)).map((v) => (v > 0 ? 2 : 0))] as const;
  });
  // One value in the middle is missing.
  const values = noise(volume(info.output.shape));
  values[1] = Number.NaN;
  return {
    masks: new Map(masks),
    x: noise(volume(info.input.shape)),
    y: CLASS_LOSSES.has(info.loss) ? Int32Array.of(random.int(classes), 1, random.int(classes), -1) : values,
    // Unequal weights, one of them 0: a sample that is left out must leave no trace.
    weight: Float32Array.of(1, 0, 2.5, 1),
  };
}

const conv =
  (w: number[], attributes: Record<string, number | string | number[]>): Case['build'] =>
  (b, x, p) =>
    b.op('Conv', [x, p('w', w), p('b', [w[0] as number])], attributes);

const norm =
  (channels: number): Case['build'] =>
  (b, x, p) =>
    b.op('BatchNormalization', [
      x,
      p('g', [channels]),
      p('h', [channels]),
      p('m', [channels]),
      p('v', [channels], true),
    ]);

export const cases: Record<string, Case> = {
  'Gemm, B transposed': {
    sample: [5],
    build: (b, x, p) => b.op('Gemm', [x, p('w', [4, 5]), p('c', [4])], { transB: 1 }),
  },
  'Gemm, plain, scaled, bias a scalar row': {
    sample: [5],
    build: (b, x, p) =>
      b.op('Gemm', [x, p('w', [5, 4]), p('c', [1, 4])], { alpha: { float: 0.5 }, beta: { float: 2 } } as never),
  },
  'Gemm, both operands transposed': {
    sample: [5],
    build: (b, x, p) =>
      b.op('Gemm', [b.op('Gemm', [p('a', [6, 5]), x], { transB: 1 }), p('w', [4, 6])], { transA: 1, transB: 1 }),
  },
  'MatMul of a matrix': { sample: [5], build: (b, x, p) => b.op('MatMul', [x, p('w', [5, 4])]) },
  'MatMul of a batch with one matrix': { sample: [2, 5], build: (b, x, p) => b.op('MatMul', [x, p('w', [5, 4])]) },
  'MatMul with the batch on the right': { sample: [5, 2], build: (b, x, p) => b.op('MatMul', [p('w', [4, 5]), x]) },
  'Add, broadcast over leading and inner axes': {
    sample: [2, 3, 4],
    build: (b, x, p) => b.op('Add', [b.op('Add', [x, p('a', [2, 1, 4])]), p('c', [4])]),
  },
  'Conv 2-D': { sample: [2, 6, 5], build: conv([3, 2, 3, 2], {}) },
  'Conv 2-D, uneven padding': { sample: [2, 6, 5], build: conv([3, 2, 3, 3], { pads: [1, 0, 2, 1] }) },
  'Conv 2-D, stride 2 that skips a row': {
    sample: [2, 8, 6],
    build: conv([3, 2, 3, 3], { strides: [2, 3], pads: [1, 1, 1, 1] }),
  },
  'Conv 2-D, dilated': { sample: [2, 9, 8], build: conv([3, 2, 3, 2], { dilations: [2, 3], pads: [2, 1, 2, 1] }) },
  'Conv 2-D, stride and dilation': {
    sample: [1, 11, 10],
    build: conv([2, 1, 3, 3], { strides: [3, 2], dilations: [2, 1] }),
  },
  'Conv 2-D, auto_pad SAME_UPPER, stride 2': {
    sample: [2, 7, 6],
    build: conv([3, 2, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  },
  'Conv 2-D, auto_pad SAME_LOWER': { sample: [2, 6, 6], build: conv([3, 2, 2, 4], { auto_pad: 'SAME_LOWER' }) },
  'Conv 1-D, stride 2': { sample: [2, 17], build: conv([3, 2, 5], { strides: [2], pads: [2, 2] }) },
  'Conv 1-D, stride 3, kernel no multiple of it, rows left over': {
    sample: [2, 20],
    build: conv([3, 2, 4], { strides: [3], pads: [2, 0] }),
  },
  'Conv 1-D, stride larger than the kernel': {
    sample: [2, 14],
    build: conv([3, 2, 2], { strides: [5], pads: [1, 1] }),
  },
  'Conv 1-D, stride 2, padding larger than the kernel': {
    sample: [2, 9],
    build: conv([3, 2, 3], { strides: [2], pads: [4, 5] }),
  },
  'Conv 3-D': { sample: [1, 4, 4, 5], build: conv([2, 1, 2, 3, 2], { strides: [2, 1, 1] }) },
  Relu: { sample: [4], build: (b, x, p) => b.op('Gemm', [b.op('Relu', [x]), p('w', [4, 3])]) },
  'MaxPool, apart': {
    sample: [2, 6, 6],
    build: (b, x) => b.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] }),
  },
  'MaxPool, overlapping and padded': {
    sample: [2, 7, 6],
    build: (b, x) => b.op('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  },
  'MaxPool, 1-D, with a remainder': {
    sample: [3, 11],
    build: (b, x) => b.op('MaxPool', [x], { kernel_shape: [4], strides: [4] }),
  },
  'AveragePool, padding not counted': {
    sample: [2, 7, 6],
    build: (b, x) => b.op('AveragePool', [x], { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 0] }),
  },
  'AveragePool, padding counted': {
    sample: [2, 6, 6],
    build: (b, x) =>
      b.op('AveragePool', [x], { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], count_include_pad: 1 }),
  },
  GlobalAveragePool: { sample: [3, 4, 5], build: (b, x) => b.op('GlobalAveragePool', [x]) },
  'Flatten, Reshape, Identity': {
    sample: [2, 3, 4],
    build: (b, x, p) =>
      b.op('Gemm', [b.op('Flatten', [b.op('Identity', [b.op('Reshape', [x, b.ints([-1, 4, 6])])])]), p('w', [24, 3])]),
  },
  'a tensor used twice (residual)': {
    sample: [4],
    build: (b, x, p) => {
      const h = b.op('Gemm', [x, p('w', [4, 4])]);
      return b.op('Add', [b.op('Relu', [h]), b.op('Gemm', [h, p('v', [4, 4])])]);
    },
  },
  'a parameter used twice': {
    sample: [4],
    build: (b, x, p) => {
      const w = p('w', [4, 4]);
      return b.op('Gemm', [b.op('Gemm', [x, w]), w]);
    },
  },
  ...Object.fromEntries(
    ['Neg', 'Abs', 'Exp', 'Erf', 'Sigmoid', 'Tanh', 'Softplus', 'Elu', 'LeakyRelu', 'HardSigmoid', 'HardSwish'].map(
      (op) => [op, { sample: [6], build: ((b, x) => b.op(op, [x])) satisfies Case['build'] }],
    ),
  ),
  ...Object.fromEntries(
    ['Sqrt', 'Log', 'Reciprocal'].map((op) => [
      `${op} of positive values`,
      {
        sample: [6],
        build: ((b, x) => b.op(op, [b.op('Add', [b.op('Exp', [x]), b.scalar(0.5)])])) satisfies Case['build'],
      },
    ]),
  ),
  'Gelu, exact': { sample: [6], opset: 20, build: (b, x) => b.op('Gelu', [x]) },
  'Gelu, by tanh': { sample: [6], opset: 20, build: (b, x) => b.op('Gelu', [x], { approximate: 'tanh' }) },
  'Clip to 0 and 6 (ReLU6), and to one side': {
    sample: [8],
    build: (b, x) =>
      b.op('Clip', [b.op('Clip', [b.op('Mul', [x, b.scalar(4)]), b.scalar(0), b.scalar(6)]), '', b.scalar(5)]),
  },
  'Sub, Mul, Div with broadcasting': {
    sample: [2, 3],
    build: (b, x, p) => {
      const positive = b.op('Add', [b.op('Exp', [p('d', [2, 1])]), b.scalar(1)]);
      return b.op('Div', [b.op('Mul', [b.op('Sub', [x, p('s', [3])]), p('m', [1, 3])]), positive]);
    },
  },
  'Pow with constant and trained exponents, Sum of three': {
    sample: [4],
    build: (b, x, p) => {
      const positive = b.op('Add', [b.op('Exp', [x]), b.scalar(0.5)]);
      return b.op('Sum', [b.op('Pow', [x, b.scalar(3)]), b.op('Pow', [positive, p('e', [4])]), p('c', [1])]);
    },
  },
  'Softmax, last and inner axis': {
    sample: [3, 4],
    build: (b, x) => b.op('Softmax', [b.op('Softmax', [b.op('Mul', [x, b.scalar(2)])], { axis: 1 })], { axis: -1 }),
  },
  LogSoftmax: { sample: [3, 4], build: (b, x) => b.op('LogSoftmax', [x], { axis: 1 }) },
  'ReduceMean, axes as attribute; ReduceSum over all but the batch': {
    sample: [3, 4],
    build: (b, x) => {
      const rows = b.op('ReduceMean', [x], { axes: [2], keepdims: 0 });
      return b.op(
        'Add',
        [rows, b.op('ReduceSum', [x, b.ints([1, 2])], { keepdims: 0 })].map((t, i) =>
          i ? b.op('Unsqueeze', [t, b.ints([1])]) : t,
        ),
      );
    },
  },
  'ReduceMean, axes as input (opset 18)': {
    sample: [3, 4],
    opset: 18,
    build: (b, x) => b.op('ReduceMean', [x, b.ints([-1])], { keepdims: 1 }),
  },
  'Transpose, Squeeze, Unsqueeze, Expand': {
    sample: [2, 3],
    build: (b, x, p) => {
      const t = b.op('Transpose', [b.op('Unsqueeze', [x, b.ints([1])])], { perm: [0, 3, 1, 2] });
      return b.op('Add', [
        b.op('Squeeze', [t, b.ints([2])]),
        b.op('Expand', [p('e', [1, 3, 1]), b.ints([BATCH, 3, 2])]),
      ]);
    },
  },
  'Concat of used twice and constant parts': {
    sample: [2, 3],
    build: (b, x, p) =>
      b.op('Concat', [x, b.op('Relu', [x]), b.op('Expand', [p('c', [1, 1, 3]), b.ints([BATCH, 1, 3])])], { axis: 1 }),
  },
  'Split, with one part unused': {
    sample: [6, 2],
    build: (b, x) => {
      const parts = ['s0', 's1', 's2'];
      b.nodes.push(makeNode('Split', [x, b.ints([1, 2, 3])], parts, { axis: 1 }));
      return b.op('Concat', ['s2', b.op('Exp', ['s0'])], { axis: 1 });
    },
  },
  'Slice, negative bounds and two axes': {
    sample: [5, 6],
    build: (b, x) => b.op('Slice', [x, b.ints([1, -4]), b.ints([4, -1]), b.ints([1, 2])]),
  },
  'Slice, steps 2 and -1': {
    sample: [5, 6],
    build: (b, x) => b.op('Slice', [x, b.ints([0, 5]), b.ints([5, -7]), b.ints([1, 2]), b.ints([2, -1])]),
  },
  'Pad, constant': { sample: [2, 3], build: (b, x) => b.op('Pad', [x, b.ints([0, 1, 2, 0, 0, 1])]) },
  'Conv 2-D, 2 groups': {
    sample: [4, 6, 6],
    build: conv([6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1], strides: [2, 2] }),
  },
  'Conv 2-D, depthwise': { sample: [3, 7, 6], build: conv([3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }) },
  'Conv 1-D, depthwise with multiplier': { sample: [3, 11], build: conv([6, 1, 3], { group: 3, strides: [2] }) },
  'ConvTranspose 2-D, stride 2': {
    sample: [3, 4, 5],
    build: (b, x, p) =>
      b.op('ConvTranspose', [x, p('w', [3, 2, 3, 3]), p('b', [2])], {
        strides: [2, 2],
        pads: [1, 1, 1, 1],
        output_padding: [1, 0],
      }),
  },
  'ConvTranspose 1-D, stride 2, output padding': {
    sample: [3, 6],
    build: (b, x, p) =>
      b.op('ConvTranspose', [x, p('w', [3, 2, 5]), p('b', [2])], { strides: [2], pads: [1, 2], output_padding: [1] }),
  },
  'ConvTranspose 1-D, stride larger than the kernel': {
    sample: [3, 4],
    build: (b, x, p) => b.op('ConvTranspose', [x, p('w', [3, 2, 2])], { strides: [4] }),
  },
  'ConvTranspose 1-D, 2 groups, dilated': {
    sample: [4, 6],
    build: (b, x, p) => b.op('ConvTranspose', [x, p('w', [4, 3, 3])], { group: 2, dilations: [2], strides: [2] }),
  },
  'BatchNormalization, batch statistics': { sample: [3, 4, 2], build: norm(3) },
  'BatchNormalization of features': { sample: [5], build: norm(5) },
  'BatchNormalization, frozen statistics': { sample: [3, 4, 2], batchNorm: 'frozen', build: norm(3) },
  'LayerNormalization over the last axis': {
    sample: [3, 5],
    build: (b, x, p) => b.op('LayerNormalization', [x, p('g', [5]), p('h', [5])]),
  },
  'LayerNormalization over two axes, without bias': {
    sample: [3, 5],
    build: (b, x, p) => b.op('LayerNormalization', [x, p('g', [3, 5])], { axis: 1 }),
  },
  Dropout: { sample: [6], build: (b, x, p) => b.op('Gemm', [b.op('Dropout', [x, b.scalar(0.5)]), p('w', [6, 3])]) },
  'mean squared error with a missing value': { sample: [3], build: (b, x) => b.op('Identity', [x]) },
  'Huber, both sides of delta': {
    sample: [8],
    loss: 'huber',
    lossOptions: { delta: 0.7 },
    build: (b, x) => b.op('Identity', [x]),
  },
  'binary cross-entropy with logits': { sample: [8], loss: 'bce-with-logits', build: (b, x) => b.op('Identity', [x]) },
  'cross-entropy, smoothed, with class weights': {
    sample: [5],
    loss: 'cross-entropy',
    lossOptions: { labelSmoothing: 0.1, classWeights: [1, 2, 0.5, 1, 3] },
    build: (b, x) => b.op('Identity', [x]),
  },
  'generalised cross-entropy': {
    sample: [5],
    loss: 'generalized-cross-entropy',
    build: (b, x) => b.op('Mul', [x, b.scalar(2)]),
  },
  'soft cross-entropy': {
    sample: [5],
    loss: 'soft-cross-entropy',
    build: (b, x, p) => b.op('Gemm', [x, p('w', [5, 4])]),
  },
  'softmax cross-entropy': {
    sample: [5],
    loss: 'cross-entropy',
    build: (b, x, p) => b.op('Gemm', [x, p('w', [5, 6])]),
  },
  'convolutional classifier (smooth, so that differences are exact)': {
    sample: [1, 8, 8],
    loss: 'cross-entropy',
    build: (b, x, p) => {
      const h = b.op('Softplus', [b.op('Conv', [x, p('k', [4, 1, 3, 3]), p('kb', [4])], { pads: [1, 1, 1, 1] })]);
      const pooled = b.op('AveragePool', [h], { kernel_shape: [2, 2], strides: [2, 2] });
      return b.op('Gemm', [b.op('Flatten', [pooled]), p('w', [64, 3])]);
    },
  },
};
