import type { Layout } from '@ecavg/protocol';
import { type TrainingInfo, trainingInfo, trainingLayout } from '../autodiff/trainingGraph.js';
import { sampleSize, type View } from '../data/dataset.js';
import { ModelError, parseModel } from '../onnx/model.js';
import { ort } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { Random } from '../random.js';
import type { Trainer, TrainOptions, TrainResult } from './types.js';

type Feeds = Record<string, ort.Tensor>;

/**
 * Runs a training graph on ONNX Runtime. The tensors that a step returns are fed to the next one as they
 * are, so parameters are not copied between steps.
 */
export class OrtTrainer implements Trainer {
  readonly engine = 'ort';
  readonly layout: Layout;
  #state: Feeds = {};

  private constructor(
    private readonly session: ort.InferenceSession,
    readonly info: TrainingInfo,
  ) {
    this.layout = trainingLayout(info);
    this.setWeights(new Float32Array(this.layout.total));
  }

  /** @param graph bytes of a graph made by `buildTrainingGraph`; @param threads of one step. */
  static async create(graph: Uint8Array, threads = 1): Promise<OrtTrainer> {
    const info = trainingInfo(parseModel(graph));
    return new OrtTrainer(await openSession(graph, threads, 'the training graph'), info);
  }

  setWeights(flat: Float32Array): void {
    if (flat.length !== this.layout.total)
      throw new RangeError(`${flat.length} values for a layout of ${this.layout.total}`);
    this.#state = {};
    for (const { name, shape, offset, length } of this.layout.tensors) {
      this.#state[name] = new ort.Tensor('float32', flat.slice(offset, offset + length), [...shape]);
      this.#state[`${name}:velocity`] = new ort.Tensor('float32', new Float32Array(length), [...shape]);
    }
  }

  getWeights(): Float32Array {
    const flat = new Float32Array(this.layout.total);
    for (const { name, offset } of this.layout.tensors) flat.set(this.#state[name]?.data as Float32Array, offset);
    return flat;
  }

  /**
   * One step on a full batch.
   * @param x `batch * sample` values; @param y class indices (Int32Array) or targets (Float32Array);
   * @param weight one a sample, not all 0.
   */
  async step(
    x: Float32Array,
    y: Int32Array | Float32Array,
    weight: Float32Array,
    learningRate: number,
    momentum: number,
  ): Promise<{ loss: number; correct: number }> {
    const { input, output, batch } = this.info;
    const target =
      y instanceof Int32Array ? new ort.Tensor('int32', y, [batch]) : new ort.Tensor('float32', y, [...output.shape]);
    const out = await this.session.run({
      ...this.#state,
      [input.name]: new ort.Tensor('float32', x, [...input.shape]),
      y: target,
      weight: new ort.Tensor('float32', weight, [batch]),
      lr: new ort.Tensor('float32', Float32Array.of(learningRate), []),
      momentum: new ort.Tensor('float32', Float32Array.of(momentum), []),
    });
    const next: Feeds = {};
    for (const name of Object.keys(this.#state)) {
      const tensor = out[`${name}:next`];
      if (!tensor) throw new ModelError(`the training graph returned no ${name}:next`);
      next[name] = tensor;
    }
    this.#state = next;
    return { loss: Number(out.loss?.data[0]), correct: Number(out.correct?.data[0]) };
  }

  async train(view: View, options: TrainOptions): Promise<TrainResult> {
    const { data, indices } = view;
    const size = sampleSize(data);
    const { batch, input, loss: lossName } = this.info;
    if (lossName !== 'cross-entropy')
      throw new ModelError(`training on labels needs cross-entropy; this graph has ${lossName}`);
    if (input.shape.slice(1).join() !== data.shape.join()) {
      throw new ModelError(
        `the model takes samples of shape [${input.shape.slice(1).join(', ')}]; ${data.name} has [${data.shape.join(', ')}]`,
      );
    }
    if (indices.length === 0) throw new RangeError('no samples to train on');
    const started = performance.now();
    const random = new Random(options.seed, 'order');
    const order = indices.slice();
    let [steps, loss, accuracy] = [0, 0, 0];
    const limit = options.maxSteps ?? Number.POSITIVE_INFINITY;
    for (let epoch = 0; epoch < options.epochs && steps < limit; epoch++) {
      random.shuffle(order);
      let [lossSum, correct, seen] = [0, 0, 0];
      for (let from = 0; from < order.length && steps < limit; from += batch, steps++) {
        options.signal?.throwIfAborted();
        const count = Math.min(batch, order.length - from);
        const x = new Float32Array(batch * size);
        const y = new Int32Array(batch);
        const weight = new Float32Array(batch);
        for (let i = 0; i < count; i++) {
          const index = order[from + i] as number;
          data.read(index, x, i * size);
          y[i] = data.labels[index] as number;
          weight[i] = 1;
        }
        const result = await this.step(x, y, weight, options.learningRate, options.momentum);
        if (!Number.isFinite(result.loss)) {
          throw new ModelError(
            `training diverged at step ${steps}: the loss is ${result.loss}; lower the learning rate (${options.learningRate})`,
          );
        }
        lossSum += result.loss * count;
        correct += result.correct;
        seen += count;
      }
      loss = lossSum / seen;
      accuracy = correct / seen;
    }
    return { loss, accuracy, steps, seconds: (performance.now() - started) / 1000 };
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}
