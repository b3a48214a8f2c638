import type { View } from '@ecavg/models';

/** What this gateway has: training and validation samples of its own and, for demonstrations, the common test set. */
export interface LocalData {
  readonly train: View;
  readonly validation: View;
  readonly test: View | undefined;
  /** Of one sample. */
  readonly shape: readonly number[];
  /** None: unlabelled. */
  readonly classes: readonly string[];
  readonly simulated: boolean;
  /** How a stream is cut into windows, where the samples are such; see streamDigest. */
  readonly stream: string | undefined;
  /** Keeps gateways from visiting their samples in the same order. */
  readonly seed: number;
  /** Whether there is enough to train on. */
  readonly ready: boolean;
  /** Training samples. */
  readonly samples: number;
  /** The training samples as a round is to see them. */
  trainingView(seed: number): View;
}
