/**
 * Labelled samples of one shape. Implementations hold the samples compactly and convert on the way
 * out, so that a gateway's memory holds each sample once.
 */
export interface DataSet {
  readonly name: string;
  /** True where the samples come from a model of the physics and not from a machine. */
  readonly simulated: boolean;
  /** Shape of one sample. */
  readonly shape: readonly number[];
  readonly classes: readonly string[];
  readonly length: number;
  /** Class index of each sample. */
  readonly labels: Int32Array;
  /**
   * Samples with the same group came from one source (the same recording, the same image twice) and
   * must not be split between training and test.
   */
  readonly groups: Int32Array;
  /** Which site (machine, gateway) a sample came from; undefined where the data knows none. */
  readonly sites: Int32Array | undefined;
  /** Writes sample `index` as float32 into `out` at `offset`. */
  read(index: number, out: Float32Array, offset: number): void;
  /** Writes the distribution over the classes that sample `index` should get, for the loss soft-cross-entropy. */
  readTarget?(index: number, out: Float32Array, offset: number): void;
}

/** Values of one sample: the product of its shape. */
export function sampleSize(data: DataSet): number {
  return data.shape.reduce((a, d) => a * d, 1);
}

/** Samples of `data` chosen by `indices`: what one node trains or evaluates on. */
export interface View {
  readonly data: DataSet;
  readonly indices: Int32Array;
}

/** How many samples of a view each class has. */
export function labelHistogram({ data, indices }: View): number[] {
  const counts: number[] = Array(data.classes.length).fill(0);
  for (const i of indices) {
    const label = data.labels[i] as number;
    counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts;
}
