import type { GraphBuilder } from '../onnx/builder.js';
import { DataType } from '../onnx/model.js';
import { STEP } from './step.js';

export interface SgdOptions {
  readonly type: 'sgd';
  /** Nesterov's form, as in PyTorch: w <- w - lr (g + mu v). */
  readonly nesterov?: boolean;
  /** L2 penalty, added to the gradient. */
  readonly weightDecay?: number;
}

/** AdamW (Loshchilov and Hutter 2019, Algorithm 2). */
export interface AdamWOptions {
  readonly type: 'adamw';
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Decoupled: w <- w - lr decay w. */
  readonly weightDecay?: number;
}

export type OptimizerOptions = SgdOptions | AdamWOptions;

/** A tensor that the optimiser keeps between steps; it starts at 0. */
export interface StateTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly gradient: string;
}

/**
 * Emits the step of every parameter (output `{name}:next`) and returns the state it keeps (inputs by name,
 * outputs `{state}:next`). Learning rate and, for sgd, momentum are scalar inputs (STEP), so that a schedule needs no other graph.
 */
export function emitOptimizer(
  b: GraphBuilder,
  parameters: readonly Parameter[],
  options: OptimizerOptions,
): StateTensor[] {
  const lr = b.input(STEP.learningRate, DataType.FLOAT, []);
  return options.type === 'sgd' ? sgd(b, parameters, lr, options) : adamW(b, parameters, lr, options);
}

function keep(b: GraphBuilder, state: StateTensor[], name: string, shape: readonly number[]): string {
  state.push({ name, shape });
  return b.input(name, DataType.FLOAT, shape);
}

function emitNext(
  b: GraphBuilder,
  name: string,
  op: string,
  inputs: [string, string],
  shape: readonly number[],
): string {
  const next = b.named(`${name}:next`, op, inputs);
  b.output(next, DataType.FLOAT, shape);
  return next;
}

/** v <- mu v + g, w <- w - lr v (Polyak 1964, in the form of Sutskever et al. 2013 without the damping). */
function sgd(b: GraphBuilder, parameters: readonly Parameter[], lr: string, options: SgdOptions): StateTensor[] {
  const state: StateTensor[] = [];
  const momentum = b.input(STEP.momentum, DataType.FLOAT, []);
  for (const { name, shape, gradient } of parameters) {
    const decay = options.weightDecay ?? 0;
    const g = decay > 0 ? b.op('Add', [gradient, b.op('Mul', [name, b.scalar(decay)])]) : gradient;
    const velocity = `${name}:velocity`;
    const old = keep(b, state, velocity, shape);
    const next = emitNext(b, velocity, 'Add', [b.op('Mul', [old, momentum]), g], shape);
    const step = options.nesterov ? b.op('Add', [g, b.op('Mul', [next, momentum])]) : next;
    emitNext(b, name, 'Sub', [name, b.op('Mul', [step, lr])], shape);
  }
  return state;
}

function adamW(b: GraphBuilder, parameters: readonly Parameter[], lr: string, options: AdamWOptions): StateTensor[] {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  const state: StateTensor[] = [];
  const count = 'ecavg/steps';
  const steps = emitNext(b, count, 'Add', [keep(b, state, count, []), b.scalar(1)], []);
  const correction = (beta: number): string => b.op('Sub', [b.scalar(1), b.op('Pow', [b.scalar(beta), steps])]);
  const [c1, c2] = [correction(beta1), correction(beta2)];
  const blend = (old: string, beta: number, now: string, name: string, shape: readonly number[]): string =>
    emitNext(b, name, 'Add', [b.op('Mul', [old, b.scalar(beta)]), b.op('Mul', [now, b.scalar(1 - beta)])], shape);
  for (const { name, shape, gradient } of parameters) {
    const [first, second] = [`${name}:m`, `${name}:v`];
    const m = blend(keep(b, state, first, shape), beta1, gradient, first, shape);
    const v = blend(keep(b, state, second, shape), beta2, b.op('Mul', [gradient, gradient]), second, shape);
    const deviation = b.op('Add', [b.op('Sqrt', [b.op('Div', [v, c2])]), b.scalar(epsilon)]);
    const step = b.op('Div', [b.op('Div', [m, c1]), deviation]);
    const whole = weightDecay > 0 ? b.op('Add', [step, b.op('Mul', [name, b.scalar(weightDecay)])]) : step;
    emitNext(b, name, 'Sub', [name, b.op('Mul', [whole, lr])], shape);
  }
  return state;
}

/** Scales every gradient by min(1, limit / norm), norm over all of them together (Pascanu et al. 2013). */
export function emitClipping(b: GraphBuilder, gradients: readonly string[], limit: number): string[] {
  const squares = gradients.map((g) => b.op('ReduceSum', [b.op('Mul', [g, g])], { keepdims: 0 }));
  const norm = b.named(STEP.gradientNorm, 'Sqrt', [b.op('Sum', squares)]);
  b.output(norm, DataType.FLOAT, []);
  const scale = b.op('Min', [b.op('Div', [b.scalar(limit), b.op('Add', [norm, b.scalar(1e-6)])]), b.scalar(1)]);
  return gradients.map((g) => b.op('Mul', [g, scale]));
}
