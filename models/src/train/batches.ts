import { ArgumentError } from '@ecavg/protocol/errors';
import type { TrainingInfo } from '../autodiff/info.js';
import { type DataSet, sampleSize, type View } from '../data/dataset.js';
import type { TargetKind } from '../losses/record.js';
import { LOSS_RECORDS } from '../losses/table.js';
import { ModelError } from '../onnx/model.js';
import { Random } from '../random.js';

/** One step's data: `x` and `y` as the graph takes them, `weight` 1 for a sample and 0 for filling. */
export interface Batch {
  readonly x: Float32Array;
  readonly y: Int32Array | Float32Array;
  readonly weight: Float32Array;
  readonly count: number;
}

/** What a loss asks of model and data, by the kind of its targets; throws ModelError. */
const CHECKS: Readonly<Record<TargetKind, (info: TrainingInfo, data: DataSet) => void>> = {
  class() {
    // Every data set has labels.
  },
  distribution({ loss }, data) {
    if (data.readTarget) return;
    throw new ModelError(
      'ECAVG_TRAINING_DATA',
      `${loss} needs a distribution over the classes for each sample; ${data.name} has none`,
    );
  },
  values({ loss, input, output }) {
    if (output.shape.join() === input.shape.join()) return;
    const [wanted, given] = [input.shape.slice(1).join(', '), output.shape.slice(1).join(', ')];
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `${loss} on unlabelled data rebuilds the input, so the output must have its shape [${wanted}]; it has [${given}]`,
    );
  },
};

/** Cuts a view into batches: the same for the same seed and epoch, wherever training was interrupted. */
export class Batches {
  readonly perEpoch: number;
  readonly #size: number;
  /** One set for all batches: a new one at every step is much work for the garbage collector. */
  readonly #buffers: { x: Float32Array; labels: Int32Array; weight: Float32Array; soft: Float32Array };
  readonly #target: TargetKind;

  constructor(
    private readonly view: View,
    private readonly info: TrainingInfo,
    private readonly seed: number,
  ) {
    const { data, indices } = view;
    const sample = info.input.shape.slice(1);
    if (indices.length === 0) throw new ArgumentError('ECAVG_TRAINING_DATA', 'no samples to train on');
    if (sample.join() !== data.shape.join()) {
      throw new ModelError(
        'ECAVG_MODEL_SHAPE',
        `the model takes samples of shape [${sample.join(', ')}]; ${data.name} has [${data.shape.join(', ')}]`,
      );
    }
    this.#target = LOSS_RECORDS[info.loss].target;
    CHECKS[this.#target](info, data);
    this.#size = sampleSize(data);
    const { batch, output } = info;
    this.#buffers = {
      x: new Float32Array(batch * this.#size),
      labels: new Int32Array(batch),
      weight: new Float32Array(batch),
      soft: new Float32Array(this.#target === 'distribution' ? batch * (output.shape[1] ?? 1) : 0),
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
    const { batch, output } = this.info;
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
      if (soft.length > 0) data.readTarget?.(index, soft, i * classes);
      weight[i] = i < count ? 1 : 0;
    }
    const targets: Readonly<Record<TargetKind, Batch['y']>> = { class: labels, distribution: soft, values: x };
    return { x, y: targets[this.#target], weight, count };
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
