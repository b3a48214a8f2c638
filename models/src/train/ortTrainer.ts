import type { Layout } from '@ecavg/protocol';
import { ArgumentError } from '@ecavg/protocol/errors';
import { type TrainingInfo, trainingInfo, trainingLayout } from '../autodiff/info.js';
import { STEP } from '../autodiff/step.js';
import type { View } from '../data/dataset.js';
import { ModelError, parseModel } from '../onnx/model.js';
import { floatTensorOf as float, type InferenceSession, intTensorOf, type Tensor } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { OPTIMIZER_RECORDS } from '../optimizers/table.js';
import { type Engine, runTraining } from './loop.js';
import type { StepExtra, StepResult, Trainer, TrainOptions, TrainResult } from './types.js';

type Tensors = Record<string, Tensor>;

const scalar = (value: number) => float(Float32Array.of(value), []);

/**
 * Runs a training graph on ONNX Runtime. The tensors that a step returns are fed to the next one as they are, so parameters are not copied
 * between steps. It begins with all weights 0: call `setWeights` first.
 */
export class OrtTrainer implements Trainer, Engine {
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

  /** @param graph bytes of a graph made by `buildTrainingGraph`. @param threads of one step. @throws ModelError where it is none. */
  static async create(graph: Uint8Array, threads = 1): Promise<OrtTrainer> {
    const info = trainingInfo(parseModel(graph));
    return new OrtTrainer(await openSession(graph, threads, 'the training graph'), info);
  }

  setWeights(flat: Float32Array): void {
    if (flat.length !== this.layout.total) {
      throw new ArgumentError('ECAVG_MODEL_SHAPE', `${flat.length} values for a layout of ${this.layout.total}`);
    }
    this.#state = {};
    for (const { name, shape, offset, length } of this.layout.tensors) {
      this.#state[name] = float(flat.slice(offset, offset + length), shape);
    }
    for (const { name, shape } of this.info.state) {
      this.#state[name] = float(new Float32Array(shape.reduce((a, d) => a * d, 1)), shape);
    }
    this.holdBase();
  }

  getWeights(): Float32Array {
    const flat = new Float32Array(this.layout.total);
    for (const { name, offset } of this.layout.tensors) flat.set(this.#state[name]?.data as Float32Array, offset);
    return flat;
  }

  async step(
    x: Float32Array,
    y: Int32Array | Float32Array,
    weight: Float32Array,
    learningRate: number,
    momentum: number,
    extra: StepExtra = {},
  ): Promise<StepResult> {
    const { input, output, batch, optimizer, proximal, masks } = this.info;
    const feeds: Tensors = {
      ...this.#state,
      [input.name]: float(x, input.shape),
      [STEP.target]: y instanceof Int32Array ? intTensorOf(y, [batch]) : float(y, output.shape),
      [STEP.weight]: float(weight, [batch]),
      [STEP.learningRate]: scalar(learningRate),
    };
    if (OPTIMIZER_RECORDS[optimizer].momentum) feeds[STEP.momentum] = scalar(momentum);
    if (proximal) Object.assign(feeds, this.#base, { [STEP.mu]: scalar(extra.mu ?? 0) });
    for (const { name, shape } of masks) {
      const length = shape.reduce((a, d) => a * d, 1);
      feeds[name] = float(extra.masks?.get(name) ?? new Float32Array(length).fill(1), shape);
    }
    const out = await this.session.run(feeds);
    const next: Tensors = {};
    for (const name of Object.keys(this.#state)) {
      const tensor = out[`${name}:next`];
      if (!tensor) throw new ModelError('ECAVG_MODEL_RUNTIME', `the training graph returned no ${name}:next`);
      next[name] = tensor;
    }
    this.#state = next;
    return { loss: Number(out[STEP.loss]?.data[0]), correct: Number(out[STEP.correct]?.data[0]) };
  }

  train(view: View, options: TrainOptions): Promise<TrainResult> {
    return runTraining(this, view, options);
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  /** FedProx pulls to the weights of this moment. */
  holdBase(): void {
    this.#base = {};
    if (!this.info.proximal) return;
    for (const { name } of this.info.parameters) this.#base[`${name}:base`] = this.#state[name] as Tensor;
  }

  capture(): ReadonlyMap<string, Float32Array> {
    const all = Object.entries({ ...this.#state, ...this.#base });
    return new Map(all.map(([name, t]) => [name, t.data as Float32Array]));
  }

  restore(tensors: ReadonlyMap<string, Float32Array>): void {
    for (const group of [this.#state, this.#base]) {
      for (const [name, old] of Object.entries(group)) {
        group[name] = float(tensors.get(name) as Float32Array, old.dims);
      }
    }
  }
}
