import type { GraphBuilder } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/model.js';
import { type GradContext, type GradRule, input, output, type Rules, unbroadcast } from './rules.js';

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

export const arithmeticRules: Rules = {
  Add: broadcasting(() => []),
  Sum: broadcasting(() => []),
  Sub: broadcasting((_node, dy, b) => [() => dy, () => b.op('Neg', [dy])]),
  Mul: broadcasting((n, dy, b) => [() => b.op('Mul', [dy, input(n, 1)]), () => b.op('Mul', [dy, input(n, 0)])]),
  Div: broadcasting((n, dy, b) => [
    () => b.op('Div', [dy, input(n, 1)]),
    () => b.op('Neg', [b.op('Div', [b.op('Mul', [dy, output(n)]), input(n, 1)])]),
  ]),
  Pow: power,
  Neg: unary((dy, _x, _y, b) => b.op('Neg', [dy])),
  Abs: unary((dy, x, _y, b) => b.op('Mul', [dy, b.op('Sign', [x])])),
  Exp: unary((dy, _x, y, b) => b.op('Mul', [dy, y])),
  Log: unary((dy, x, _y, b) => b.op('Div', [dy, x])),
  Sqrt: unary((dy, _x, y, b) => b.op('Div', [b.op('Mul', [dy, b.scalar(0.5)]), y])),
  Reciprocal: unary((dy, _x, y, b) => b.op('Neg', [b.op('Mul', [dy, b.op('Mul', [y, y])])])),
  /** d erf(x) / dx = 2 / sqrt(pi) exp(-x^2) */
  Erf: unary((dy, x, _y, b) => {
    const bell = b.op('Exp', [b.op('Neg', [b.op('Mul', [x, x])])]);
    return b.op('Mul', [dy, b.op('Mul', [bell, b.scalar(2 / Math.sqrt(Math.PI))])]);
  }),
  Identity: unary((dy) => dy),
};
