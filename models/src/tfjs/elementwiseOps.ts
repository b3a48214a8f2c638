import type { Tensor } from '@tensorflow/tfjs-core';
import { axisOf, input } from '../autodiff/rules.js';
import { floatAttr, intAttr, stringAttr } from '../onnx/model.js';
import { given, type Tf, type TfContext, type TfOp, type TfOps } from './types.js';

const unary =
  (f: (tf: Tf, x: Tensor) => Tensor): TfOp =>
  (_node, inputs, { tf }) => [f(tf, given(inputs)[0])];

const binary =
  (f: (tf: Tf, a: Tensor, b: Tensor) => Tensor): TfOp =>
  (_node, inputs, { tf }) => {
    const [a, b] = given(inputs);
    return [f(tf, a, b)];
  };

/** Softmax and its logarithm know only the last axis in TensorFlow.js. */
const alongAxis =
  (f: (tf: Tf, x: Tensor) => Tensor): TfOp =>
  (node, inputs, { tf }) => {
    const [x] = given(inputs);
    const axis = axisOf(intAttr(node, 'axis', -1), x.rank);
    const last = x.rank - 1;
    if (axis === last) return [f(tf, x)];
    const perm = [...Array(x.rank).keys()];
    [perm[axis], perm[last]] = [last, axis];
    return [tf.transpose(f(tf, tf.transpose(x, perm)), perm)];
  };

const clip: TfOp = (_node, inputs, { tf }) => {
  const [x, low, high] = inputs;
  const bounded = low ? tf.maximum(x as Tensor, low) : (x as Tensor);
  return [high ? tf.minimum(bounded, high) : bounded];
};

const gelu: TfOp = (node, inputs, { tf }) => {
  const [x] = given(inputs);
  const inner =
    stringAttr(node, 'approximate', 'none') === 'none'
      ? tf.erf(tf.mul(x, Math.SQRT1_2))
      : tf.tanh(tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.mul(x, x))))));
  return [tf.mul(tf.mul(x, 0.5), tf.add(inner, 1))];
};

const hardSigmoid = (tf: Tf, x: Tensor, alpha: number, beta: number): Tensor =>
  tf.clipByValue(tf.add(tf.mul(x, alpha), beta), 0, 1);

const elu: TfOp = (node, inputs, { tf }) => {
  const [x] = given(inputs);
  const below = tf.sub(tf.exp(tf.minimum(x, 0)), 1);
  return [tf.add(tf.relu(x), tf.mul(below, floatAttr(node, 'alpha', 1)))];
};

const layerNorm: TfOp = (node, inputs, { tf }) => {
  const [x, scale, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
  const axes = [...x.shape.keys()].slice(axisOf(intAttr(node, 'axis', -1), x.rank));
  const centred = tf.sub(x, tf.mean(x, axes, true));
  const variance = tf.mean(tf.square(centred), axes, true);
  const normal = tf.div(centred, tf.sqrt(tf.add(variance, floatAttr(node, 'epsilon', 1e-5))));
  const scaled = tf.mul(normal, scale);
  return [bias ? tf.add(scaled, bias) : scaled];
};

const gemm: TfOp = (node, inputs, { tf }) => {
  const [a, b, c] = inputs as [Tensor, Tensor, Tensor | undefined];
  const product = tf.matMul(a, b, intAttr(node, 'transA', 0) === 1, intAttr(node, 'transB', 0) === 1);
  const y = tf.mul(product, floatAttr(node, 'alpha', 1));
  return [c ? tf.add(y, tf.mul(c, floatAttr(node, 'beta', 1))) : y];
};

/** TensorFlow.js does not sum gradients over broadcast batch axes of a product, so both sides are spread first. */
const matMul: TfOp = (node, inputs, ctx: TfContext) => {
  const { tf } = ctx;
  const [a, b] = given(inputs);
  const batch = ctx.shape(node.output[0] ?? '').slice(0, -2);
  const whole = (t: Tensor): Tensor => tf.broadcastTo(t, [...batch, ...t.shape.slice(-2)]);
  return [tf.matMul(whole(a), whole(b))];
};

export const elementwiseOps: TfOps = {
  Abs: unary((tf, x) => tf.abs(x)),
  Add: binary((tf, a, b) => tf.add(a, b)),
  Clip: clip,
  Div: binary((tf, a, b) => tf.div(a, b)),
  Elu: elu,
  Erf: unary((tf, x) => tf.erf(x)),
  Exp: unary((tf, x) => tf.exp(x)),
  Gelu: gelu,
  Gemm: gemm,
  HardSigmoid: (node, inputs, { tf }) => [
    hardSigmoid(tf, given(inputs)[0], floatAttr(node, 'alpha', 0.2), floatAttr(node, 'beta', 0.5)),
  ],
  HardSwish: unary((tf, x) => tf.mul(x, hardSigmoid(tf, x, 1 / 6, 0.5))),
  Identity: unary((tf, x) => tf.clone(x)),
  LayerNormalization: layerNorm,
  LeakyRelu: (node, inputs, { tf }) => [tf.leakyRelu(given(inputs)[0], floatAttr(node, 'alpha', 0.01))],
  Log: unary((tf, x) => tf.log(x)),
  LogSoftmax: alongAxis((tf, x) => tf.logSoftmax(x)),
  MatMul: matMul,
  Mul: binary((tf, a, b) => tf.mul(a, b)),
  Neg: unary((tf, x) => tf.neg(x)),
  Pow: binary((tf, a, b) => tf.pow(a, b)),
  Reciprocal: unary((tf, x) => tf.div(1, x)),
  Relu: unary((tf, x) => tf.relu(x)),
  Sigmoid: unary((tf, x) => tf.sigmoid(x)),
  Softmax: alongAxis((tf, x) => tf.softmax(x)),
  Softplus: unary((tf, x) => tf.softplus(x)),
  Sqrt: unary((tf, x) => tf.sqrt(x)),
  Sub: binary((tf, a, b) => tf.sub(a, b)),
  Sum: (_node, inputs, { tf }) => [(inputs as Tensor[]).reduce((a, b) => tf.add(a, b))],
  Tanh: unary((tf, x) => tf.tanh(x)),
  /** A float constant; those of integers are known from the probing run. */
  ConstantOfShape: (node, _inputs, { tf, ints }) => {
    const value = node.attribute.find((a) => a.name === 'value')?.t;
    const fill =
      value?.floatData[0] ??
      (value?.rawData.length === 4 ? new DataView(value.rawData.slice().buffer).getFloat32(0, true) : 0);
    return [tf.fill([...(ints(input(node, 0)) ?? [])], fill)];
  },
};
