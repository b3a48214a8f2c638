import type { Tensor } from '@tensorflow/tfjs-core';
import type { TensorSpec } from '../onnx/model.js';
import type { AdamWOptions } from './options.js';
import { at, emitNext, keep, type OptimizerRecord } from './record.js';

const settings = ({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 }: AdamWOptions) => ({
  beta1,
  beta2,
  epsilon,
  weightDecay,
});

/** Name of the tensor that counts the steps, for the correction of both moments. */
const STEPS = 'ecavg/steps';

/** AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2): the decay is taken off the weights, not added to the gradient. */
export const adamw: OptimizerRecord<AdamWOptions> = {
  about: 'beta1, beta2, epsilon, decoupled weight decay',
  momentum: false,
  emit(b, parameters, lr, options) {
    const { beta1, beta2, epsilon, weightDecay } = settings(options);
    const state: TensorSpec[] = [];
    const steps = emitNext(b, { name: STEPS, shape: [] }, 'Add', [keep(b, state, STEPS, []), b.scalar(1)]);
    const correction = (beta: number): string => b.op('Sub', [b.scalar(1), b.op('Pow', [b.scalar(beta), steps])]);
    const [c1, c2] = [correction(beta1), correction(beta2)];
    const blend = (old: string, beta: number, now: string, spec: TensorSpec): string =>
      emitNext(b, spec, 'Add', [b.op('Mul', [old, b.scalar(beta)]), b.op('Mul', [now, b.scalar(1 - beta)])]);
    for (const { name, shape, gradient } of parameters) {
      const [first, second] = [`${name}:m`, `${name}:v`];
      const m = blend(keep(b, state, first, shape), beta1, gradient, { name: first, shape });
      const squared = keep(b, state, second, shape);
      const v = blend(squared, beta2, b.op('Mul', [gradient, gradient]), { name: second, shape });
      const deviation = b.op('Add', [b.op('Sqrt', [b.op('Div', [v, c2])]), b.scalar(epsilon)]);
      const step = b.op('Div', [b.op('Div', [m, c1]), deviation]);
      const whole = weightDecay > 0 ? b.op('Add', [step, b.op('Mul', [name, b.scalar(weightDecay)])]) : step;
      emitNext(b, { name, shape }, 'Sub', [name, b.op('Mul', [whole, lr])]);
    }
    return state;
  },
  tfjs(tf, held, gradients, options, { learningRate }) {
    const { beta1, beta2, epsilon, weightDecay } = settings(options);
    const next = new Map<string, Tensor>();
    const steps = tf.add(at(held, STEPS), 1);
    next.set(STEPS, steps);
    const [c1, c2] = [beta1, beta2].map((beta) => tf.sub(1, tf.pow(beta, steps))) as [Tensor, Tensor];
    const blend = (old: Tensor, beta: number, now: Tensor): Tensor => tf.add(tf.mul(old, beta), tf.mul(now, 1 - beta));
    for (const [name, g] of gradients) {
      const w = at(held, name);
      const m = blend(at(held, `${name}:m`), beta1, g);
      const v = blend(at(held, `${name}:v`), beta2, tf.square(g));
      const step = tf.div(tf.div(m, c1), tf.add(tf.sqrt(tf.div(v, c2)), epsilon));
      const whole = weightDecay > 0 ? tf.add(step, tf.mul(w, weightDecay)) : step;
      next.set(`${name}:m`, m);
      next.set(`${name}:v`, v);
      next.set(name, tf.sub(w, tf.mul(whole, learningRate)));
    }
    return next;
  },
};
