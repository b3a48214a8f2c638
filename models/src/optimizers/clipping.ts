import { STEP } from '../autodiff/step.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { DataType } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';
import type { Tensors } from './record.js';

/** Scales every gradient by min(1, limit / norm), norm over all of them together (Pascanu et al. 2013, arXiv:1211.5063, Algorithm 1). */
export function emitClipping(b: GraphBuilder, gradients: readonly string[], limit: number): string[] {
  const squares = gradients.map((g) => b.op('ReduceSum', [b.op('Mul', [g, g])], { keepdims: 0 }));
  const norm = b.named(STEP.gradientNorm, 'Sqrt', [b.op('Sum', squares)]);
  b.output(norm, DataType.FLOAT, []);
  const scale = b.op('Min', [b.op('Div', [b.scalar(limit), b.op('Add', [norm, b.scalar(1e-6)])]), b.scalar(1)]);
  return gradients.map((g) => b.op('Mul', [g, scale]));
}

/** The same in TensorFlow.js. */
export function clipped(tf: Tf, gradients: Tensors, limit: number): Tensors {
  const squares = [...gradients.values()].map((g) => tf.sum(tf.square(g)));
  const norm = tf.sqrt(squares.reduce((a, b) => tf.add(a, b)));
  const scale = tf.minimum(tf.div(limit, tf.add(norm, 1e-6)), 1);
  return new Map([...gradients].map(([name, g]) => [name, tf.mul(g, scale)]));
}
