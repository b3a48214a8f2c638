import type { Layout } from '@ecavg/protocol';
import { type TrainingInfo, trainingInfo, trainingLayout } from '../autodiff/info.js';
import { STEP } from '../autodiff/step.js';
import type { View } from '../data/dataset.js';
import { ModelError, parseModel } from '../onnx/model.js';
import { type InferenceSession, ort, type Tensor } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { type Batch, Batches } from './batches.js';
import { decodeCheckpoint, encodeCheckpoint, type Progress, START } from './checkpoint.js';
import type { Trainer, TrainOptions, TrainResult } from './types.js';

type Tensors = Record<string, Tensor>;

const float = (data: Float32Array, shape: readonly number[]) => new ort.Tensor('float32', data, [...shape]);
const scalar = (value: number) => float(Float32Array.of(value), []);

/**
 * Runs a training graph on ONNX Runtime. The tensors that a step returns are fed to the next one as they
 * are, so parameters are not copied between steps.
 */
export class OrtTrainer implements Trainer {
  readonly engine = 'ort';
  readonly layout: Layout;
  /** Parameters, buffers and optimiser state: what a step takes and returns as `{name}:next`. */
  #state: Tensors = {};
  /** `{parameter}:base` of FedProx. */
  #base: Tensors = {};

  private constructor(
    private readonly session: InferenceSession,
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
    if (flat.length !== this.layout.total) {
      throw new RangeError(`${flat.length} values for a layout of ${this.layout.total}`);
    }
    this.#state = {};
    for (const { name, shape, offset, length } of this.layout.tensors) {
      this.#state[name] = float(flat.slice(offset, offset + length), shape);
    }
    for (const { name, shape } of this.info.state) {
      this.#state[name] = float(new Float32Array(shape.reduce((a, d) => a * d, 1)), shape);
    }
    this.#holdBase();
  }

  getWeights(): Float32Array {
    const flat = new Float32Array(this.layout.total);
    for (const { name, offset } of this.layout.tensors) flat.set(this.#state[name]?.data as Float32Array, offset);
    return flat;
  }

  /**
   * One step on a full batch.
   * @param x `batch * sample` values; @param y class indices (Int32Array) or targets (Float32Array);
   * @param weight one a sample.
   */
  async step(
    x: Float32Array,
    y: Int32Array | Float32Array,
    weight: Float32Array,
    learningRate: number,
    momentum: number,
    extra: { mu?: number; masks?: ReadonlyMap<string, Float32Array> } = {},
  ): Promise<{ loss: number; correct: number }> {
    const { input, output, batch, optimizer, proximal, masks } = this.info;
    const feeds: Tensors = {
      ...this.#state,
      [input.name]: float(x, input.shape),
      [STEP.target]: y instanceof Int32Array ? new ort.Tensor('int32', y, [batch]) : float(y, output.shape),
      [STEP.weight]: float(weight, [batch]),
      [STEP.learningRate]: scalar(learningRate),
    };
    if (optimizer === 'sgd') feeds[STEP.momentum] = scalar(momentum);
    if (proximal) Object.assign(feeds, this.#base, { [STEP.mu]: scalar(extra.mu ?? 0) });
    for (const { name, shape } of masks) {
      const length = shape.reduce((a, d) => a * d, 1);
      feeds[name] = float(extra.masks?.get(name) ?? new Float32Array(length).fill(1), shape);
    }
    const out = await this.session.run(feeds);
    const next: Tensors = {};
    for (const name of Object.keys(this.#state)) {
      const tensor = out[`${name}:next`];
      if (!tensor) throw new ModelError(`the training graph returned no ${name}:next`);
      next[name] = tensor;
    }
    this.#state = next;
    return { loss: Number(out[STEP.loss]?.data[0]), correct: Number(out[STEP.correct]?.data[0]) };
  }

  async train(view: View, options: TrainOptions): Promise<TrainResult> {
    if (options.mu && !this.info.proximal) throw new ModelError('mu needs a training graph built with proximal: true');
    const batches = new Batches(view, this.info, options.seed);
    const started = performance.now();
    this.#holdBase();
    const p = options.resume ? this.#restore(options.resume, view, options) : { ...START };
    const limit = options.maxSteps ?? Number.POSITIVE_INFINITY;
    let order = batches.order(p.epoch);
    while (p.epoch < options.epochs && p.steps < limit) {
      options.signal?.throwIfAborted();
      if (p.position === 0) Object.assign(p, { lossSum: 0, correct: 0, seen: 0 });
      await this.#trainBatch(batches.at(order, p.position), batches.masks(p.steps), p, options);
      p.steps++;
      p.position++;
      if (p.position === batches.perEpoch) {
        p.position = 0;
        p.epoch++;
        order = batches.order(p.epoch);
      }
      const { checkpoint } = options;
      if (checkpoint && p.steps % checkpoint.everySteps === 0) await checkpoint.save(this.#capture(view, options, p));
    }
    const seconds = (performance.now() - started) / 1000;
    const seen = Math.max(1, p.seen);
    return { loss: p.lossSum / seen, accuracy: p.correct / seen, steps: p.steps, seconds };
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  async #trainBatch(
    { x, y, weight, count }: Batch,
    masks: ReadonlyMap<string, Float32Array>,
    p: Progress,
    { learningRate, momentum, mu = 0 }: TrainOptions,
  ): Promise<void> {
    const { loss, correct } = await this.step(x, y, weight, learningRate, momentum, { mu, masks });
    if (!Number.isFinite(loss)) {
      throw new ModelError(
        `training diverged at step ${p.steps}: the loss is ${loss}; lower the learning rate (${learningRate})`,
      );
    }
    p.lossSum += loss * count;
    p.correct += correct;
    p.seen += count;
  }

  /** FedProx pulls to the weights of this moment. */
  #holdBase(): void {
    this.#base = {};
    if (!this.info.proximal) return;
    for (const { name } of this.info.parameters) this.#base[`${name}:base`] = this.#state[name] as Tensor;
  }

  #capture(view: View, options: TrainOptions, progress: Progress): Uint8Array {
    const all = Object.entries({ ...this.#state, ...this.#base });
    const tensors = new Map(all.map(([name, t]) => [name, t.data as Float32Array]));
    return encodeCheckpoint({ seed: options.seed, samples: view.indices.length, progress, tensors });
  }

  #restore(bytes: Uint8Array, view: View, options: TrainOptions): Progress {
    const { seed, samples, progress, tensors } = decodeCheckpoint(bytes);
    if (seed !== options.seed || samples !== view.indices.length) {
      throw new ModelError(
        `the checkpoint is of seed ${seed} on ${samples} samples; this run has seed ${options.seed} on ${view.indices.length}`,
      );
    }
    for (const group of [this.#state, this.#base]) {
      for (const [name, old] of Object.entries(group)) {
        const data = tensors.get(name);
        if (data?.length !== old.size)
          throw new ModelError(`the checkpoint is of another model: tensor ${JSON.stringify(name)} does not fit`);
        group[name] = float(data, old.dims);
      }
    }
    return { ...progress };
  }
}
