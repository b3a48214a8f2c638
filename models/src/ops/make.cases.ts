import type { TrainingInfo } from '../autodiff/info.js';
import type { TrainingGraphOptions } from '../autodiff/trainingGraph.js';
import type { Loss, LossOptions } from '../losses/names.js';
import { LOSS_RECORDS } from '../losses/table.js';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, type ModelProto } from '../onnx/model.js';
import { Random } from '../random.js';

export const volume = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);
export const BATCH = 4;

/** A small model: what gradients are checked on, by finite differences and by another engine. */
export interface Case {
  readonly name: string;
  readonly sample: number[];
  readonly loss?: Loss;
  readonly lossOptions?: LossOptions;
  readonly batchNorm?: 'train' | 'frozen';
  readonly opset?: number;
  /** Its nodes name the size of the batch, so that it runs on BATCH samples only. */
  readonly fixedBatch?: true;
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
    y:
      LOSS_RECORDS[info.loss].target === 'class'
        ? Int32Array.of(random.int(classes), 1, random.int(classes), -1)
        : values,
    // Unequal weights, one of them 0: a sample that is left out must leave no trace.
    weight: Float32Array.of(1, 0, 2.5, 1),
  };
}

/** At least one case for each op of a family (or for each of other records): one that is missing does not compile. */
export type CasesOf<T> = { readonly [Name in keyof T]: readonly [Case, ...Case[]] };

/** The layer under test alone, on the input as it is. */
export const alone =
  (op: string, attributes: Parameters<GraphBuilder['op']>[2] = {}): Case['build'] =>
  (b, x) =>
    b.op(op, [x], attributes);
