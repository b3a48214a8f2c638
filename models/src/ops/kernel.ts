import type { Tensor } from '@tensorflow/tfjs-core';
import type { NodeProto } from '../onnx/model.js';

/** The functions of TensorFlow.js, of whichever package holds the backend. Only its types are imported here: it need not be installed. */
export type Tf = typeof import('@tensorflow/tfjs-core');

/** What a kernel is given beside its inputs. */
export interface TfContext {
  readonly tf: Tf;
  /** Concrete shape of a tensor, batch included. */
  shape(tensor: string): readonly number[];
  /** Values of a constant integer tensor (axes, sizes, pads); undefined where it is none. */
  ints(tensor: string): readonly number[] | undefined;
  /** Whether this pass renews a running statistic: not while evaluating, and not where it is frozen. */
  renewed(tensor: string): boolean;
  /** Keeps the next value of a tensor that the pass renews. */
  renew(tensor: string, next: Tensor): void;
  /** The mask of the next dropout, to multiply with; undefined: nothing is dropped. */
  mask(): Tensor | undefined;
}

/** One ONNX op in TensorFlow.js: its outputs from its inputs (undefined: left out, or integers). */
export type TfOp = (node: NodeProto, inputs: readonly (Tensor | undefined)[], ctx: TfContext) => Tensor[];

/** The inputs that an op can't do without. */
export const given = (inputs: readonly (Tensor | undefined)[]): [Tensor, Tensor, Tensor] =>
  inputs as unknown as [Tensor, Tensor, Tensor];

/** A kernel of one input. */
export const unary =
  (f: (tf: Tf, x: Tensor) => Tensor): TfOp =>
  (_node, inputs, { tf }) => [f(tf, given(inputs)[0])];

/** A kernel of two inputs. */
export const binary =
  (f: (tf: Tf, a: Tensor, b: Tensor) => Tensor): TfOp =>
  (_node, inputs, { tf }) => {
    const [a, b] = given(inputs);
    return [f(tf, a, b)];
  };
