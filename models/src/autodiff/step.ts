/** Names of a step's inputs and outputs beside tensors of the model; the prefix keeps them apart from a model's own names. */
export const STEP = {
  /** Input: int32 [batch], class indices, -1 for none; or float32 of the output's shape, NaN for none. */
  target: 'ecavg/target',
  /** Input: float32 [batch], the weight of each sample; 0 leaves it out. */
  weight: 'ecavg/weight',
  /** Input: a float32 scalar. */
  learningRate: 'ecavg/lr',
  /** Input of SGD: a float32 scalar. */
  momentum: 'ecavg/momentum',
  /** Input of graphs with `proximal`: the strength of FedProx, a float32 scalar. */
  mu: 'ecavg/mu',
  /** Output: the weighted mean loss of the batch before the step, a float32 scalar. */
  loss: 'ecavg/loss',
  /** Output: the weighted number of correct predictions, a float32 scalar. */
  correct: 'ecavg/correct',
  /** Output of graphs with `clipNorm`: the norm of all gradients together before clipping, a float32 scalar. */
  gradientNorm: 'ecavg/gradientNorm',
} as const;
