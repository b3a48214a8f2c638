/** Losses that a training graph can be built with. Each has a record in the table of this folder. */
export const LOSSES = [
  'cross-entropy',
  'generalized-cross-entropy',
  'soft-cross-entropy',
  'mse',
  'huber',
  'bce-with-logits',
] as const;

/** Name of a loss, as in settings and in the metadata of a training graph. */
export type Loss = (typeof LOSSES)[number];

/** What can be said of a loss; each reads what concerns it. */
export interface LossOptions {
  /** Cross-entropy: share of the target spread over all classes, in [0, 1) (Szegedy et al. 2016, section 7). */
  readonly labelSmoothing?: number;
  /** Cross-entropy losses: a weight for each class. */
  readonly classWeights?: readonly number[];
  /** Generalised cross-entropy: q in (0, 1], default 0.7 (Zhang and Sabuncu 2018, arXiv:1805.07836). */
  readonly q?: number;
  /** Huber: where the square turns into a line, default 1 (Huber 1964). */
  readonly delta?: number;
}
