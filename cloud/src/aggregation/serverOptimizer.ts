/** What the cloud does with the aggregated difference D: w' = w + step(D). */
export const SERVER_OPTIMIZERS = ['none', 'fedavgm', 'fedadam', 'fedyogi', 'reptile'] as const;
export type ServerOptimizerName = (typeof SERVER_OPTIMIZERS)[number];

export interface ServerOptions {
  readonly name: ServerOptimizerName;
  readonly learningRate: number;
  readonly momentum: number;
  readonly beta1: number;
  readonly beta2: number;
  /** Degree of adaptivity: what the root is kept away from. */
  readonly tau: number;
}

/** Moments of the server's optimiser; `layout.total` values each, absent before the first step. */
export interface ServerState {
  readonly m?: Float32Array;
  readonly v?: Float32Array;
}

/** A stretch of the flat weights that takes the plain difference: running statistics are no parameters. */
export type Plain = readonly (readonly [start: number, end: number])[];

/**
 * One step of the server.
 * - none: w + D (FedAvg).
 * - reptile: w + eta D (Nichol et al. 2018, arXiv:1803.02999).
 * - fedavgm: m = mu m + D, w + eta m (Hsu et al. 2019, arXiv:1909.06335).
 * - fedadam, fedyogi (Reddi et al. 2021, arXiv:2003.00295, Algorithm 2): m = b1 m + (1 - b1) D, v = b2 v + (1 - b2) D^2, or for Yogi
 *   v - (1 - b2) D^2 sign(v - D^2); w + eta m / (sqrt(v) + tau). v starts at tau^2.
 * @returns new weights, and the state for the next step. Nothing that is passed in is changed.
 */
export function serverStep(
  weights: Float32Array,
  difference: Float32Array,
  options: ServerOptions,
  state: ServerState,
  plain: Plain = [],
): { weights: Float32Array; state: ServerState } {
  const { name, learningRate: eta } = options;
  const next = weights.slice();
  let after: ServerState = {};
  if (name === 'none' || name === 'reptile') {
    const rate = name === 'none' ? 1 : eta;
    for (let i = 0; i < next.length; i++) next[i] = (next[i] as number) + rate * (difference[i] as number);
  } else if (name === 'fedavgm') {
    const m = state.m?.slice() ?? new Float32Array(next.length);
    for (let i = 0; i < next.length; i++) {
      m[i] = options.momentum * (m[i] as number) + (difference[i] as number);
      next[i] = (next[i] as number) + eta * (m[i] as number);
    }
    after = { m };
  } else after = adaptive(next, difference, options, state);
  for (const [start, end] of plain) {
    for (let i = start; i < end; i++) next[i] = (weights[i] as number) + (difference[i] as number);
  }
  return { weights: next, state: after };
}

function adaptive(
  next: Float32Array,
  difference: Float32Array,
  { name, learningRate, beta1, beta2, tau }: ServerOptions,
  state: ServerState,
): ServerState {
  const m = state.m?.slice() ?? new Float32Array(next.length);
  const v = state.v?.slice() ?? new Float32Array(next.length).fill(tau * tau);
  const yogi = name === 'fedyogi';
  for (let i = 0; i < next.length; i++) {
    const d = difference[i] as number;
    const square = d * d;
    const old = v[i] as number;
    m[i] = beta1 * (m[i] as number) + (1 - beta1) * d;
    v[i] = yogi ? old - (1 - beta2) * square * Math.sign(old - square) : beta2 * old + (1 - beta2) * square;
    next[i] = (next[i] as number) + (learningRate * (m[i] as number)) / (Math.sqrt(v[i] as number) + tau);
  }
  return { m, v };
}
