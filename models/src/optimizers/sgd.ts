import { STEP } from '../autodiff/step.js';
import { DataType, type TensorSpec } from '../onnx/model.js';
import type { SgdOptions } from './options.js';
import { at, emitNext, keep, type OptimizerRecord } from './record.js';

/** v <- mu v + g, w <- w - lr v (Polyak 1964, in the form of Sutskever et al. 2013 without the damping). */
export const sgd: OptimizerRecord<SgdOptions> = {
  about: 'momentum, Nesterov, weight decay',
  momentum: true,
  emit(b, parameters, lr, { nesterov, weightDecay = 0 }) {
    const state: TensorSpec[] = [];
    const momentum = b.input(STEP.momentum, DataType.FLOAT, []);
    for (const { name, shape, gradient } of parameters) {
      const g = weightDecay > 0 ? b.op('Add', [gradient, b.op('Mul', [name, b.scalar(weightDecay)])]) : gradient;
      const velocity = `${name}:velocity`;
      const old = keep(b, state, velocity, shape);
      const next = emitNext(b, { name: velocity, shape }, 'Add', [b.op('Mul', [old, momentum]), g]);
      const step = nesterov ? b.op('Add', [g, b.op('Mul', [next, momentum])]) : next;
      emitNext(b, { name, shape }, 'Sub', [name, b.op('Mul', [step, lr])]);
    }
    return state;
  },
  tfjs(tf, held, gradients, { nesterov, weightDecay = 0 }, { learningRate, momentum }) {
    const next = new Map();
    for (const [name, gradient] of gradients) {
      const w = at(held, name);
      const g = weightDecay > 0 ? tf.add(gradient, tf.mul(w, weightDecay)) : gradient;
      const velocity = tf.add(tf.mul(at(held, `${name}:velocity`), momentum), g);
      const step = nesterov ? tf.add(g, tf.mul(velocity, momentum)) : velocity;
      next.set(`${name}:velocity`, velocity);
      next.set(name, tf.sub(w, tf.mul(step, learningRate)));
    }
    return next;
  },
};
