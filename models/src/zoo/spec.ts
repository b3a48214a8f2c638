/** What a data set asks of a model: the shape of one sample and the number of classes. */
export interface ModelSpec {
  readonly input: readonly number[];
  readonly classes: number;
  /** Seed of the initial weights. */
  readonly seed: number;
}
