import type { Tensor } from '@tensorflow/tfjs-core';
import type { AdamWOptions, SgdOptions } from '../autodiff/optimizers.js';
import type { Tf } from './types.js';

/** What a step makes of the tensors that a trainer keeps, by name. */
type Next = Map<string, Tensor>;
type Tensors = ReadonlyMap<string, Tensor>;

const at = (tensors: Tensors, name: string): Tensor => tensors.get(name) as Tensor;

/** min(1, limit / norm) over all gradients together, as `emitClipping`. */
export function clipped(tf: Tf, gradients: Tensors, limit: number): Tensors {
  const squares = [...gradients.values()].map((g) => tf.sum(tf.square(g)));
  const norm = tf.sqrt(squares.reduce((a, b) => tf.add(a, b)));
  const scale = tf.minimum(tf.div(limit, tf.add(norm, 1e-6)), 1);
  return new Map([...gradients].map(([name, g]) => [name, tf.mul(g, scale)]));
}

/** The step of `autodiff/optimizers.ts`, with state of the same names. */
export function sgdStep(
  tf: Tf,
  held: Tensors,
  gradients: Tensors,
  { nesterov, weightDecay = 0 }: SgdOptions,
  learningRate: number,
  momentum: number,
): Next {
  const next: Next = new Map();
  for (const [name, gradient] of gradients) {
    const w = at(held, name);
    const g = weightDecay > 0 ? tf.add(gradient, tf.mul(w, weightDecay)) : gradient;
    const velocity = tf.add(tf.mul(at(held, `${name}:velocity`), momentum), g);
    const step = nesterov ? tf.add(g, tf.mul(velocity, momentum)) : velocity;
    next.set(`${name}:velocity`, velocity);
    next.set(name, tf.sub(w, tf.mul(step, learningRate)));
  }
  return next;
}

/** AdamW, with state of the same names as in `autodiff/optimizers.ts`. */
export function adamWStep(
  tf: Tf,
  held: Tensors,
  gradients: Tensors,
  options: AdamWOptions,
  learningRate: number,
): Next {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  const next: Next = new Map();
  const steps = tf.add(at(held, 'ecavg/steps'), 1);
  next.set('ecavg/steps', steps);
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
}
