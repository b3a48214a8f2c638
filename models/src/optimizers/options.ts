/** Stochastic gradient descent with momentum (Polyak 1964); learning rate and momentum are inputs of a step. */
export interface SgdOptions {
  readonly type: 'sgd';
  /** Nesterov's form, as in PyTorch: w <- w - lr (g + mu v). */
  readonly nesterov?: boolean;
  /** L2 penalty, added to the gradient. */
  readonly weightDecay?: number;
}

/** AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2). */
export interface AdamWOptions {
  readonly type: 'adamw';
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Added to the root of the second moment; default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled: w <- w - lr decay w. Default 0.01. */
  readonly weightDecay?: number;
}

/** How a training graph steps; what it is built with can't be changed afterwards. */
export type OptimizerOptions = SgdOptions | AdamWOptions;

/** Name of an optimiser, as in settings and in the metadata of a training graph. */
export type OptimizerName = OptimizerOptions['type'];

/** Optimisers that a training graph can be built with. Each has a record in the table of this folder. */
export const OPTIMIZERS = ['sgd', 'adamw'] as const satisfies readonly OptimizerName[];
