import type { Tensor } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/model.js';
import { type GradContext, type GradRule, input, output, unbroadcast } from './gradient.js';
import { binary, type TfOp, unary as unaryKernel } from './kernel.js';
import type { Ops } from './record.js';

/** A rule for an op with broadcasting: `parts[i]` emits the gradient of input i in the output's shape. */
function broadcasting(parts: (node: NodeProto, dy: string, b: GraphBuilder) => (() => string)[]): GradRule {
  return (node, dy, { b, shape, needs }) => {
    const make = parts(node, dy, b);
    return node.input.map((x, i) =>
      needs(x) ? unbroadcast(b, (make[i] ?? (() => dy))(), shape(output(node)), shape(x)) : undefined,
    );
  };
}

/** A rule for an op of one input: from dy, input, output and builder to dx. */
function unary(emit: (dy: string, x: string, y: string, b: GraphBuilder) => string): GradRule {
  return (node, dy, { b }) => [emit(dy, input(node, 0), output(node), b)];
}

const power: GradRule = (node, dy, ctx: GradContext) => {
  const { b, shape, needs } = ctx;
  const [x, e] = [input(node, 0), input(node, 1)];
  const dX = (): string => b.op('Mul', [dy, b.op('Mul', [e, b.op('Pow', [x, b.op('Sub', [e, b.scalar(1)])])])]);
  const dE = (): string => b.op('Mul', [dy, b.op('Mul', [output(node), b.op('Log', [x])])]);
  const out = shape(output(node));
  return [
    needs(x) ? unbroadcast(b, dX(), out, shape(x)) : undefined,
    needs(e) ? unbroadcast(b, dE(), out, shape(e)) : undefined,
  ];
};

/** d erf(x) / dx = 2 / sqrt(pi) exp(-x^2) */
const erf = unary((dy, x, _y, b) => {
  const bell = b.op('Exp', [b.op('Neg', [b.op('Mul', [x, x])])]);
  return b.op('Mul', [dy, b.op('Mul', [bell, b.scalar(2 / Math.sqrt(Math.PI))])]);
});

const multiply = broadcasting((n, dy, b) => [
  () => b.op('Mul', [dy, input(n, 1)]),
  () => b.op('Mul', [dy, input(n, 0)]),
]);

const divide = broadcasting((n, dy, b) => [
  () => b.op('Div', [dy, input(n, 1)]),
  () => b.op('Neg', [b.op('Div', [b.op('Mul', [dy, output(n)]), input(n, 1)])]),
]);

const sumKernel: TfOp = (_node, inputs, { tf }) => [(inputs as Tensor[]).reduce((a, b) => tf.add(a, b))];

/** Sums and products with broadcasting, and smooth functions of one tensor that are not called activations. */
export const arithmetic = {
  Add: { units: 'arithmetic', gradient: broadcasting(() => []), kernel: binary((tf, a, b) => tf.add(a, b)) },
  Sum: { units: 'arithmetic', gradient: broadcasting(() => []), kernel: sumKernel },
  Sub: {
    units: 'arithmetic',
    gradient: broadcasting((_node, dy, b) => [() => dy, () => b.op('Neg', [dy])]),
    kernel: binary((tf, a, b) => tf.sub(a, b)),
  },
  Mul: { units: 'arithmetic', gradient: multiply, kernel: binary((tf, a, b) => tf.mul(a, b)) },
  Div: { units: 'arithmetic', gradient: divide, kernel: binary((tf, a, b) => tf.div(a, b)) },
  Pow: { units: 'arithmetic', gradient: power, kernel: binary((tf, a, b) => tf.pow(a, b)), forms: 'with broadcasting' },
  Neg: {
    units: 'channelwise',
    gradient: unary((dy, _x, _y, b) => b.op('Neg', [dy])),
    kernel: unaryKernel((tf, x) => tf.neg(x)),
  },
  Abs: {
    units: 'channelwise',
    gradient: unary((dy, x, _y, b) => b.op('Mul', [dy, b.op('Sign', [x])])),
    kernel: unaryKernel((tf, x) => tf.abs(x)),
  },
  Exp: {
    units: 'channelwise',
    gradient: unary((dy, _x, y, b) => b.op('Mul', [dy, y])),
    kernel: unaryKernel((tf, x) => tf.exp(x)),
  },
  Log: {
    units: 'channelwise',
    gradient: unary((dy, x, _y, b) => b.op('Div', [dy, x])),
    kernel: unaryKernel((tf, x) => tf.log(x)),
  },
  Sqrt: {
    units: 'channelwise',
    gradient: unary((dy, _x, y, b) => b.op('Div', [b.op('Mul', [dy, b.scalar(0.5)]), y])),
    kernel: unaryKernel((tf, x) => tf.sqrt(x)),
  },
  Reciprocal: {
    units: 'channelwise',
    gradient: unary((dy, _x, y, b) => b.op('Neg', [b.op('Mul', [dy, b.op('Mul', [y, y])])])),
    kernel: unaryKernel((tf, x) => tf.div(1, x)),
  },
  Erf: { units: 'channelwise', gradient: erf, kernel: unaryKernel((tf, x) => tf.erf(x)) },
  Identity: { units: 'channelwise', gradient: unary((dy) => dy), kernel: unaryKernel((tf, x) => tf.clone(x)) },
} satisfies Ops;
