import type { TrainingInfo } from '../autodiff/info.js';
import { CLASS_LOSSES, SOFT_LOSS } from '../autodiff/losses.js';
import { sampleSize, type View } from '../data/dataset.js';
import { ModelError } from '../onnx/model.js';
import { Random } from '../random.js';

/** One step's data: `x` and `y` as the graph takes them, `weight` 1 for a sample and 0 for filling. */
export interface Batch {
  readonly x: Float32Array;
  readonly y: Int32Array | Float32Array;
  readonly weight: Float32Array;
  readonly count: number;
}

/** Cuts a view into batches: the same for the same seed and epoch, wherever training was interrupted. */
export class Batches {
  readonly perEpoch: number;
  readonly #size: number;
  /** One set for all batches: a new one at every step is much work for the garbage collector. */
  readonly #buffers: { x: Float32Array; labels: Int32Array; weight: Float32Array; soft: Float32Array | undefined };

  constructor(
    private readonly view: View,
    private readonly info: TrainingInfo,
    private readonly seed: number,
  ) {
    const { data, indices } = view;
    const sample = info.input.shape.slice(1);
    if (indices.length === 0) throw new RangeError('no samples to train on');
    if (sample.join() !== data.shape.join()) {
      throw new ModelError(
        `the model takes samples of shape [${sample.join(', ')}]; ${data.name} has [${data.shape.join(', ')}]`,
      );
    }
    if (info.loss === SOFT_LOSS && !data.readTarget)
      throw new ModelError(`${SOFT_LOSS} needs a distribution over the classes for each sample; ${data.name} has none`);
    if (
      !CLASS_LOSSES.has(info.loss) &&
      info.loss !== SOFT_LOSS &&
      info.output.shape.join() !== info.input.shape.join()
    ) {
      throw new ModelError(
        `${info.loss} on unlabelled data rebuilds the input, so the output must have its shape [${sample.join(', ')}]; it has [${info.output.shape.slice(1).join(', ')}]`,
      );
    }
    this.#size = sampleSize(data);
    const { batch, loss, output } = info;
    this.#buffers = {
      x: new Float32Array(batch * this.#size),
      labels: new Int32Array(batch),
      weight: new Float32Array(batch),
      soft: loss === SOFT_LOSS ? new Float32Array(batch * (output.shape[1] ?? 1)) : undefined,
    };
    this.perEpoch = Math.ceil(indices.length / info.batch);
  }

  /** Order of the samples in an epoch. */
  order(epoch: number): Int32Array {
    return new Random(this.seed, `order/${epoch}`).shuffle(this.view.indices.slice());
  }

  /** One step's data, which is good until the next call. */
  at(order: Int32Array, position: number): Batch {
    const { data } = this.view;
    const { batch, loss, output } = this.info;
    const from = position * batch;
    const count = Math.min(batch, order.length - from);
    const { x, labels, weight, soft } = this.#buffers;
    const classes = output.shape[1] ?? 1;
    for (let i = 0; i < batch; i++) {
      // What a short batch lacks is filled with other samples of weight 0: they count for nothing in loss and
      // gradient, and keep the batch statistics of normalisation those of real data.
      const index = order[(from + i) % order.length] as number;
      data.read(index, x, i * this.#size);
      labels[i] = data.labels[index] as number;
      if (soft) data.readTarget?.(index, soft, i * classes);
      weight[i] = i < count ? 1 : 0;
    }
    return { x, y: soft ?? (CLASS_LOSSES.has(loss) ? labels : x), weight, count };
  }

  /** Dropout masks of a step: 0 with the node's ratio, else 1 / (1 - ratio). */
  masks(step: number): Map<string, Float32Array> {
    const drawn = new Map<string, Float32Array>();
    for (const { name, shape, ratio } of this.info.masks) {
      const random = new Random(this.seed, `${name}/${step}`);
      const scale = 1 / (1 - ratio);
      const length = shape.reduce((a, d) => a * d, 1);
      drawn.set(
        name,
        Float32Array.from({ length }, () => (random.uniform() < ratio ? 0 : scale)),
      );
    }
    return drawn;
  }
}
