import type { GraphBuilder } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/model.js';
import type { GradRule } from './gradient.js';
import type { TfOp } from './kernel.js';

/**
 * How the hidden units of an activation (its axis 1: features of a dense layer, channels of a convolution) pass through an op. Matching
 * of clients' units, realignment and slices of a model follow from it (align/groups.ts):
 * - `channelwise`: every channel is treated alike and by itself, so units keep their places;
 * - `arithmetic`: an op of two or more operands with broadcasting, whose units meet in pairs;
 * - `dense`: a matrix of weights takes in units and makes new ones;
 * - `convolution`, `transposed-convolution`: the same with kernels, [out, in / groups, ...] and [in, out / groups, ...];
 * - `normalisation`: one weight or statistic a channel, in inputs 1 to 4;
 * - `reshape`: the same values in another shape;
 * - `reduction`: axes behind the channels may go;
 * - `stops`: units that enter or leave the op must stay where they are. Always right, but what stands before and after it can't be
 *   matched or cut.
 */
export type UnitFlow =
  | 'channelwise'
  | 'arithmetic'
  | 'dense'
  | 'convolution'
  | 'transposed-convolution'
  | 'normalisation'
  | 'reshape'
  | 'reduction'
  | 'stops';

/** What the training form of an op can ask and emit. */
export interface ForwardContext {
  readonly b: GraphBuilder;
  /** Concrete shape of a forward tensor, batch included. */
  shape(tensor: string): readonly number[];
  /** Whether a step renews this tensor without a gradient: a running statistic that is not frozen. */
  renewed(tensor: string): boolean;
  /** Says which tensor holds the next value of one that a step renews. */
  renew(tensor: string, next: string): void;
  /** A float constant of the model; undefined where the tensor is none. */
  constant(tensor: string): number | undefined;
  /** An input for a mask that the trainer draws for each step: 0 with probability `ratio`, else 1 / (1 - ratio). */
  mask(shape: readonly number[], ratio: number): string;
  /** Leaves tensors for the node's gradient (`GradContext.saved`). */
  save(node: NodeProto, tensors: Readonly<Record<string, string>>): void;
}

/** Writes a node into the training graph in another form than the model has it; false: the node is copied as it is. */
export type TrainingForm = (node: NodeProto, ctx: ForwardContext) => boolean;

/** Places among the inputs of a node. */
export interface RunningStatistics {
  readonly parameters: readonly number[];
  readonly mean: number;
  /** Must stay positive. */
  readonly variance: number;
}

/** All that there is to know of an op that a gradient can pass through. Its finite-difference cases stand in the family's `.cases.ts`. */
export interface OpRecord {
  readonly gradient: GradRule;
  /** The op in TensorFlow.js, whose own differentiation is the oracle of `gradient`. */
  readonly kernel: TfOp;
  readonly units: UnitFlow;
  /** Its operands are weights even where they hold a single value; a layer's other constants of one value are no parameters. */
  readonly weighs?: true;
  /** Batch normalisation: which of its inputs are trained, and which hold its running statistics. */
  readonly statistics?: RunningStatistics;
  readonly training?: TrainingForm;
  /** For the table in docs/training.md: the forms that it covers. */
  readonly forms?: string;
}

export type Ops = Readonly<Record<string, OpRecord>>;

/** An op that no gradient passes through, but which stands in exported models all the same. */
export type PassiveRecord = Pick<OpRecord, 'units'> & Partial<Pick<OpRecord, 'kernel'>>;
