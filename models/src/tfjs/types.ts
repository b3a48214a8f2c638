import type { Tensor } from '@tensorflow/tfjs-core';
import type { NodeProto } from '../onnx/model.js';

/** The functions of TensorFlow.js, of whichever package holds the backend. */
export type Tf = typeof import('@tensorflow/tfjs-core');

export interface TfContext {
  readonly tf: Tf;
  /** Concrete shape of a tensor, batch included. */
  shape(tensor: string): readonly number[];
  /** Values of a constant integer tensor (axes, sizes, pads); undefined where it is none. */
  ints(tensor: string): readonly number[] | undefined;
}

/** One ONNX op in TensorFlow.js: its outputs from its inputs (undefined: left out, or integers). */
export type TfOp = (node: NodeProto, inputs: readonly (Tensor | undefined)[], ctx: TfContext) => Tensor[];
export type TfOps = Readonly<Record<string, TfOp>>;

/** The inputs that an op can't do without. */
export const given = (inputs: readonly (Tensor | undefined)[]): [Tensor, Tensor, Tensor] =>
  inputs as unknown as [Tensor, Tensor, Tensor];
