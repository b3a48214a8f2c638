import type { GraphBuilder } from '../onnx/builder.js';
import { floatAttr, intAttr } from '../onnx/model.js';
import { type GradRule, unbroadcast } from './rules.js';

function scaled(b: GraphBuilder, x: string, factor: number): string {
  return factor === 1 ? x : b.op('Mul', [x, b.scalar(factor)]);
}

/** Y = alpha A' B' + beta C, where ' is an optional transpose. */
const gemm: GradRule = (node, dy, { b, shape, needs }) => {
  const [a = '', w = '', c] = node.input;
  const [transA, transB] = [intAttr(node, 'transA', 0), intAttr(node, 'transB', 0)];
  const g = scaled(b, dy, floatAttr(node, 'alpha', 1));
  const product = (x: string, y: string, tx: number, ty: number): string =>
    b.op('Gemm', [x, y], { transA: tx, transB: ty });
  // dA' = dY B'^T and dB' = A'^T dY; a transposed operand swaps the factors.
  const dA = needs(a) ? (transA ? product(w, g, transB, 1) : product(g, w, 0, transB ? 0 : 1)) : undefined;
  const dB = needs(w) ? (transB ? product(g, a, 1, transA) : product(a, g, transA ? 0 : 1, 0)) : undefined;
  const out = node.output[0] as string;
  const dC =
    c && needs(c) ? unbroadcast(b, scaled(b, dy, floatAttr(node, 'beta', 1)), shape(out), shape(c)) : undefined;
  return [dA, dB, dC];
};

const matMul: GradRule = (node, dy, { b, shape, needs }) => {
  const [x = '', w = ''] = node.input;
  const flip = (t: string): string => {
    const rank = shape(t).length;
    const perm = [...Array(rank).keys()];
    [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
    return b.op('Transpose', [t], { perm });
  };
  const [sx, sw] = [shape(x), shape(w)];
  if (sx.length < 2 || sw.length < 2) {
    throw new RangeError(`MatMul gradients need operands of rank 2 or more, got ${sx.length} and ${sw.length}`);
  }
  const batch = shape(node.output[0] as string).slice(0, -2);
  const dX = needs(x)
    ? unbroadcast(b, b.op('MatMul', [dy, flip(w)]), [...batch, sx.at(-2) ?? 1, sx.at(-1) ?? 1], sx)
    : undefined;
  const dW = needs(w)
    ? unbroadcast(b, b.op('MatMul', [flip(x), dy]), [...batch, sw.at(-2) ?? 1, sw.at(-1) ?? 1], sw)
    : undefined;
  return [dX, dW];
};

const add: GradRule = (node, dy, { b, shape, needs }) =>
  node.input.map((x) => (needs(x) ? unbroadcast(b, dy, shape(node.output[0] as string), shape(x)) : undefined));

export const denseRules: Readonly<Record<string, GradRule>> = { Gemm: gemm, MatMul: matMul, Add: add };
