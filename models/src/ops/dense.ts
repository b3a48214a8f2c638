import type { Tensor } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../onnx/builder.js';
import { floatAttr, intAttr } from '../onnx/model.js';
import { type GradRule, input, output, unbroadcast, unsupported } from './gradient.js';
import { given, type TfOp } from './kernel.js';
import type { Ops } from './record.js';

function scaled(b: GraphBuilder, x: string, factor: number): string {
  return factor === 1 ? x : b.op('Mul', [x, b.scalar(factor)]);
}

/** Y = alpha A' B' + beta C, where ' is an optional transpose. */
const gemm: GradRule = (node, dy, { b, shape, needs }) => {
  const [a, w, c] = [input(node, 0), input(node, 1), input(node, 2)];
  const [transA, transB] = [intAttr(node, 'transA', 0), intAttr(node, 'transB', 0)];
  const g = scaled(b, dy, floatAttr(node, 'alpha', 1));
  const multiply = (x: string, y: string, tx: number, ty: number): string =>
    b.op('Gemm', [x, y], { transA: tx, transB: ty });
  // dA' = dY B'^T and dB' = A'^T dY; a transposed operand swaps the factors.
  const dA = needs(a) ? (transA ? multiply(w, g, transB, 1) : multiply(g, w, 0, transB ? 0 : 1)) : undefined;
  const dB = needs(w) ? (transB ? multiply(g, a, 1, transA) : multiply(a, g, transA ? 0 : 1, 0)) : undefined;
  const dC =
    c && needs(c)
      ? unbroadcast(b, scaled(b, dy, floatAttr(node, 'beta', 1)), shape(output(node)), shape(c))
      : undefined;
  return [dA, dB, dC];
};

const matMul: GradRule = (node, dy, { b, shape, needs }) => {
  const [x, w] = [input(node, 0), input(node, 1)];
  const flip = (t: string): string => {
    const rank = shape(t).length;
    const perm = [...Array(rank).keys()];
    [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
    return b.op('Transpose', [t], { perm });
  };
  const [sx, sw] = [shape(x), shape(w)];
  if (sx.length < 2 || sw.length < 2) unsupported(node, 'an operand is a vector; use a matrix');
  const batch = shape(output(node)).slice(0, -2);
  const whole = (s: readonly number[]): number[] => [...batch, ...s.slice(-2)];
  return [
    needs(x) ? unbroadcast(b, b.op('MatMul', [dy, flip(w)]), whole(sx), sx) : undefined,
    needs(w) ? unbroadcast(b, b.op('MatMul', [flip(x), dy]), whole(sw), sw) : undefined,
  ];
};

const gemmKernel: TfOp = (node, inputs, { tf }) => {
  const [a, b, c] = inputs as [Tensor, Tensor, Tensor | undefined];
  const product = tf.matMul(a, b, intAttr(node, 'transA', 0) === 1, intAttr(node, 'transB', 0) === 1);
  const y = tf.mul(product, floatAttr(node, 'alpha', 1));
  return [c ? tf.add(y, tf.mul(c, floatAttr(node, 'beta', 1))) : y];
};

/** TensorFlow.js does not sum gradients over broadcast batch axes of a product, so both sides are spread first. */
const matMulKernel: TfOp = (node, inputs, { tf, shape }) => {
  const [a, b] = given(inputs);
  const batch = shape(output(node)).slice(0, -2);
  const whole = (t: Tensor): Tensor => tf.broadcastTo(t, [...batch, ...t.shape.slice(-2)]);
  return [tf.matMul(whole(a), whole(b))];
};

/** Products with a matrix of weights. */
export const dense = {
  Gemm: { units: 'dense', weighs: true, gradient: gemm, kernel: gemmKernel },
  MatMul: { units: 'dense', weighs: true, gradient: matMul, kernel: matMulKernel },
} satisfies Ops;
