import type { TrainingInfo } from '../autodiff/info.js';
import type { View } from '../data/dataset.js';
import type { Trainer } from '../train/types.js';

/** With a running average of momentum 0.9, under 1 % of the old statistics is left after this many batches. */
const BATCHES = 50;

/**
 * Takes new running statistics of batch normalisation from data, and leaves every parameter as it is. An average of
 * networks has other activations than either of them, and matched averages have too little variance, so that the
 * statistics they come with are wrong (REPAIR: Jordan et al., ICLR 2023, arXiv:2211.08403, section 4: for networks
 * with batch normalisation the correction is to reset these statistics).
 * @param weights flat, `layout.total` float32 values.
 * @param options `batches`: how many are taken in, default 50; `seed` of their order; `signal` ends it with an AbortError.
 * @returns a copy; the same values for a model without batch normalisation.
 */
export async function refreshStatistics(
  trainer: Trainer,
  { buffers }: Pick<TrainingInfo, 'buffers'>,
  weights: Float32Array,
  view: View,
  options: { batches?: number; seed?: number; signal?: AbortSignal } = {},
): Promise<Float32Array> {
  if (buffers.length === 0) return weights.slice();
  const { batches = BATCHES, seed = 0, signal } = options;
  trainer.setWeights(weights);
  // A learning rate of zero leaves the parameters; the statistics follow the batches.
  const run = { epochs: batches, maxSteps: batches, learningRate: 0, momentum: 0, seed };
  await trainer.train(view, { ...run, ...(signal && { signal }) });
  return trainer.getWeights();
}
