import type { GraphBuilder } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/model.js';

/** What a gradient rule can ask and emit. */
export interface GradContext {
  readonly b: GraphBuilder;
  /** Concrete shape of a forward tensor, batch included. */
  shape(tensor: string): readonly number[];
  /** Whether a gradient with respect to this tensor is wanted. */
  needs(tensor: string): boolean;
  /** The node as copied into the training graph; a rule may ask it for a further output. */
  forward(node: NodeProto): NodeProto;
}

/**
 * The vector-Jacobian product of one op: from dL/d(output 0) to dL/d(input i), by emitting ordinary
 * ONNX nodes. `undefined` for an input that gets none.
 */
export type GradRule = (node: NodeProto, dy: string, ctx: GradContext) => (string | undefined)[];

/** Sums `dy` (of shape `from`) over the axes that broadcasting added or stretched, back to shape `to`. */
export function unbroadcast(b: GraphBuilder, dy: string, from: readonly number[], to: readonly number[]): string {
  const lead = from.length - to.length;
  const axes = [...from.keys()].filter((i) => i < lead || (to[i - lead] === 1 && from[i] !== 1));
  if (axes.length === 0) return dy;
  const summed = b.op('ReduceSum', [dy, b.ints(axes)], { keepdims: 1 });
  return lead > 0 ? b.op('Reshape', [summed, b.ints(to)]) : summed;
}
