import type { GraphBuilder } from '../onnx/builder.js';
import { describeNode, ModelError, type NodeProto } from '../onnx/model.js';

/** What a gradient rule can ask and emit. */
export interface GradContext {
  readonly b: GraphBuilder;
  /** Concrete shape of a forward tensor, batch included. */
  shape(tensor: string): readonly number[];
  /** Whether a gradient with respect to this tensor is wanted. */
  needs(tensor: string): boolean;
  /** The node as copied into the training graph; a rule may ask it for a further output. */
  forward(node: NodeProto): NodeProto;
  /** Values of a constant integer tensor (axes, sizes, pads); undefined where it is none. */
  ints(tensor: string): readonly number[] | undefined;
  /** Tensors that the training form of a node left for its gradient (batch statistics, a dropout mask). */
  readonly saved: Map<NodeProto, Readonly<Record<string, string>>>;
}

/**
 * The vector-Jacobian product of one op: from dL/d(output 0) to dL/d(input i), by emitting ordinary ONNX
 * nodes. `undefined` for an input that gets none. `all` holds the gradients of every output.
 */
export type GradRule = (
  node: NodeProto,
  dy: string,
  ctx: GradContext,
  all: readonly (string | undefined)[],
) => (string | undefined)[];

/** Product of sizes: how many values a tensor of this shape has. */
export const product = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);

/** Negative axes count from the end. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Name of a node's input; empty where it is left out. */
export const input = (node: NodeProto, i: number): string => node.input[i] ?? '';
/** Name of a node's output; empty where it is left out. */
export const output = (node: NodeProto, i = 0): string => node.output[i] ?? '';

/** @throws ModelError for the forms of an op that have no rule. */
export function unsupported(node: NodeProto, what: string): never {
  throw new ModelError('ECAVG_MODEL_OP', `${describeNode(node)} can't be trained through: ${what}`);
}

/** A constant integer input that a rule can't do without; `fallback` where the node leaves it out. */
export function constantInts(
  node: NodeProto,
  i: number,
  ctx: Pick<GradContext, 'ints'>,
  what: string,
  fallback: readonly number[],
): readonly number[] {
  const name = input(node, i);
  return name === '' ? fallback : (ctx.ints(name) ?? unsupported(node, `its ${what} must be constant`));
}

/** Sums `dy` (of shape `from`) over the axes that broadcasting added or stretched, back to shape `to`. */
export function unbroadcast(b: GraphBuilder, dy: string, from: readonly number[], to: readonly number[]): string {
  const lead = from.length - to.length;
  const axes = [...from.keys()].filter((i) => i < lead || (to[i - lead] === 1 && from[i] !== 1));
  if (axes.length === 0) return dy;
  const summed = b.op('ReduceSum', [dy, b.ints(axes)], { keepdims: 1 });
  return lead > 0 ? b.op('Reshape', [summed, b.ints(to)]) : summed;
}
