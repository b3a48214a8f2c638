import type { Layout } from '@ecavg/protocol';
import { ArgumentError } from '@ecavg/protocol/errors';
import type { Tensor } from '@tensorflow/tfjs-core';
import { type TrainingInfo, trainingInfo, trainingLayout } from '../autodiff/info.js';
import type { View } from '../data/dataset.js';
import { LOSS_RECORDS } from '../losses/table.js';
import { parseModel } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';
import { clipped } from '../optimizers/clipping.js';
import { optimizerOf } from '../optimizers/table.js';
import { type Engine, runTraining } from '../train/loop.js';
import type { StepExtra, StepResult, Trainer, TrainOptions, TrainResult } from '../train/types.js';
import { type Statistics, TfjsGraph } from './graph.js';

/** What a trainer is made of: the inference graph, and the training graph for what it says of itself. */
export interface Graphs {
  readonly infer: Uint8Array;
  readonly train: Uint8Array;
}

const volume = (shape: readonly number[]): number => shape.reduce((a, d) => a * d, 1);

/**
 * Trains the same ONNX model as OrtTrainer with TensorFlow.js: its ops execute the inference graph, its own
 * differentiation finds the gradients. It shares nothing with our gradient rules but the definitions,
 * which makes it their oracle; with tfjs-node's backend it is an engine.
 */
export class TfjsTrainer implements Trainer, Engine {
  readonly layout: Layout;
  /** Parameters, buffers and optimiser state, named as in the training graph. */
  #held = new Map<string, Tensor>();
  /** `{parameter}:base` of FedProx. */
  #base = new Map<string, Tensor>();

  private constructor(
    readonly engine: string,
    private readonly tf: Tf,
    private readonly graph: TfjsGraph,
    readonly info: TrainingInfo,
  ) {
    this.layout = trainingLayout(info);
    this.setWeights(new Float32Array(this.layout.total));
  }

  /**
   * @param tf TensorFlow.js with the backend to use registered.
   * @throws ModelError for an op that TensorFlow.js can't be asked for.
   */
  static async create(tf: Tf, { infer, train }: Graphs, name = 'tfjs'): Promise<TfjsTrainer> {
    const info = trainingInfo(parseModel(train));
    const free = new Set([...info.parameters, ...info.buffers].map((t) => t.name));
    const io = { input: info.input.name, output: info.output.name, inputShape: info.input.shape };
    return new TfjsTrainer(name, tf, await TfjsGraph.create(tf, parseModel(infer), io, free), info);
  }

  setWeights(flat: Float32Array): void {
    if (flat.length !== this.layout.total) {
      throw new ArgumentError('ECAVG_MODEL_SHAPE', `${flat.length} values for a layout of ${this.layout.total}`);
    }
    for (const { name, shape, offset, length } of this.layout.tensors) {
      this.#replace(this.#held, name, this.tf.tensor(flat.slice(offset, offset + length), [...shape]));
    }
    for (const { name, shape } of this.info.state) {
      this.#replace(this.#held, name, this.tf.zeros([...shape]));
    }
    this.holdBase();
  }

  getWeights(): Float32Array {
    const flat = new Float32Array(this.layout.total);
    for (const { name, offset } of this.layout.tensors) flat.set(this.#read(name), offset);
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
    const { tf } = this;
    const next = new Map<string, Tensor>();
    const [loss, correct] = tf.tidy((): Tensor[] => {
      const { optimizerOptions: options, clipNorm } = this.info;
      const pass = this.#gradients(x, y, weight, extra);
      const gradients = clipNorm === undefined ? pass.gradients : clipped(tf, pass.gradients, clipNorm);
      const moved = optimizerOf(options).tfjs(tf, this.#held, gradients, options, { learningRate, momentum });
      for (const [name, t] of [...moved, ...pass.statistics]) next.set(name, tf.keep(t));
      return [pass.loss, pass.correct];
    }) as [Tensor, Tensor];
    const [[lossValue], [correctValue]] = await Promise.all([loss.data(), correct.data()]);
    for (const t of [loss, correct]) t.dispose();
    for (const [name, tensor] of next) this.#replace(this.#held, name, tensor);
    return { loss: lossValue ?? Number.NaN, correct: correctValue ?? Number.NaN };
  }

  /** The gradient of every parameter (with the FedProx term, before clipping), for a comparison of engines. */
  async gradients(
    x: Float32Array,
    y: Int32Array | Float32Array,
    weight: Float32Array,
    extra: StepExtra = {},
  ): Promise<{ loss: number; gradients: Map<string, Float32Array> }> {
    const { tf } = this;
    const values = new Map<string, Float32Array>();
    let loss = Number.NaN;
    tf.tidy(() => {
      const pass = this.#gradients(x, y, weight, extra);
      for (const [name, t] of pass.gradients) values.set(name, t.dataSync() as Float32Array);
      loss = pass.loss.dataSync()[0] ?? loss;
      for (const t of [pass.loss, pass.correct, ...pass.statistics.values()]) t.dispose();
    });
    return { loss, gradients: values };
  }

  /** Forward and backward; call it inside `tf.tidy`. Loss, correct and statistics outlive it. */
  #gradients(x: Float32Array, y: Int32Array | Float32Array, weight: Float32Array, { mu = 0, masks }: StepExtra) {
    const { tf, info } = this;
    const statistics: Statistics = new Map();
    let correct: Tensor = tf.scalar(0);
    const names = info.parameters.map((p) => p.name);
    const forward = (...parameters: Tensor[]): Tensor => {
      const weights = new Map(this.#held);
      names.forEach((name, i) => {
        weights.set(name, parameters[i] as Tensor);
      });
      const drawn = info.masks.map((m) =>
        tf.tensor(masks?.get(m.name) ?? new Float32Array(volume(m.shape)).fill(1), [...m.shape]),
      );
      const output = this.graph.run(tf.tensor(x, [...info.input.shape]), weights, { masks: drawn, statistics });
      const { loss, lossOptions: options = {} } = info;
      const batch = LOSS_RECORDS[loss].tfjs(tf, { output, target: y, weight, options });
      correct = tf.keep(batch.correct);
      return batch.loss;
    };
    const held = names.map((name) => this.#held.get(name) as Tensor);
    const { value, grads } = tf.valueAndGrads(forward as (...args: Tensor[]) => ReturnType<Tf['scalar']>)(held);
    const gradients = new Map<string, Tensor>();
    grads.forEach((g, i) => {
      const name = names[i] as string;
      const base = this.#base.get(name);
      gradients.set(name, base ? tf.add(g, tf.mul(tf.sub(held[i] as Tensor, base), mu)) : g);
    });
    return { loss: tf.keep(value) as Tensor, correct, gradients, statistics };
  }

  train(view: View, options: TrainOptions): Promise<TrainResult> {
    return runTraining(this, view, options);
  }

  async release(): Promise<void> {
    for (const t of [...this.#held.values(), ...this.#base.values()]) t.dispose();
    this.#held.clear();
    this.#base.clear();
    this.graph.release();
  }

  /** FedProx pulls to the weights of this moment. */
  holdBase(): void {
    if (!this.info.proximal) return;
    for (const { name } of this.info.parameters) {
      this.#replace(this.#base, name, this.tf.clone(this.#held.get(name) as Tensor));
    }
  }

  capture(): ReadonlyMap<string, Float32Array> {
    const all = new Map<string, Float32Array>();
    for (const [name, t] of this.#held) all.set(name, t.dataSync() as Float32Array);
    for (const [name, t] of this.#base) all.set(`${name}:base`, t.dataSync() as Float32Array);
    return all;
  }

  restore(tensors: ReadonlyMap<string, Float32Array>): void {
    const put = (group: Map<string, Tensor>, suffix: string): void => {
      for (const [name, old] of [...group]) {
        const values = tensors.get(name + suffix) as Float32Array;
        this.#replace(group, name, this.tf.tensor(values.slice(), old.shape));
      }
    };
    put(this.#held, '');
    put(this.#base, ':base');
  }

  #read(name: string): Float32Array {
    return this.#held.get(name)?.dataSync() as Float32Array;
  }

  #replace(group: Map<string, Tensor>, name: string, tensor: Tensor): void {
    group.get(name)?.dispose();
    group.set(name, tensor);
  }
}
