/** Inputs and outputs of a step beside tensors of the model; the prefix keeps them apart from a model's own names. */
export const STEP = {
  target: 'ecavg/target',
  weight: 'ecavg/weight',
  learningRate: 'ecavg/lr',
  momentum: 'ecavg/momentum',
  mu: 'ecavg/mu',
  loss: 'ecavg/loss',
  correct: 'ecavg/correct',
  gradientNorm: 'ecavg/gradientNorm',
} as const;
