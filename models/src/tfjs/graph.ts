import type { Tensor } from '@tensorflow/tfjs-core';
import { batchNormInputs } from '../autodiff/normalization.js';
import { output, unsupported } from '../autodiff/rules.js';
import { DataType, floatAttr, floatData, ModelError, type ModelProto, type NodeProto } from '../onnx/model.js';
import { type Probe, probeModel } from '../onnx/probe.js';
import { TFJS_OPS } from './ops.js';
import type { Tf, TfContext } from './types.js';

/** Running statistics that a training pass renews; they are kept beyond `tidy`. */
export type Statistics = Map<string, Tensor>;

export interface PassOptions {
  /** Dropout masks in the order of the Dropout nodes; without them nothing is dropped. */
  readonly masks?: readonly Tensor[];
  /** Batch normalisation by the batch's own statistics: its new running ones are put here. */
  readonly statistics?: Statistics;
}

/**
 * Executes an ONNX inference graph with TensorFlow.js ops, so that `tf.grads` can differentiate it. Shapes and integer
 * tensors come from a probing run in ONNX Runtime, as for our own gradient rules; what is computed
 * here are float32 tensors.
 */
export class TfjsGraph {
  readonly #nodes: readonly NodeProto[];
  readonly #constants = new Map<string, Tensor>();

  private constructor(
    private readonly tf: Tf,
    private readonly probe: Probe,
    private readonly inputName: string,
    private readonly outputName: string,
    model: ModelProto,
    private readonly free: ReadonlySet<string>,
  ) {
    const graph = model.graph;
    // What only sizes and axes are made of has been worked out by the probing run.
    this.#nodes = (graph?.node ?? []).filter((n) => n.output.some((o) => o !== '' && probe.ints(o) === undefined));
    for (const t of graph?.initializer ?? []) {
      if (t.dataType === DataType.FLOAT && !free.has(t.name)) {
        this.#constants.set(t.name, tf.tensor(floatData(t), t.dims.map(Number)));
      }
    }
  }

  /**
   * @param free tensors that a pass is given: parameters and buffers.
   * @throws ModelError for an op that TensorFlow.js can't be asked for here.
   */
  static async create(
    tf: Tf,
    model: ModelProto,
    io: { input: string; output: string; inputShape: readonly number[] },
    free: ReadonlySet<string>,
  ): Promise<TfjsGraph> {
    const probe = await probeModel(model, io.input, io.inputShape);
    const graph = new TfjsGraph(tf, probe, io.input, io.output, model, free);
    for (const node of graph.#nodes) graph.#op(node);
    return graph;
  }

  /** The output for `x`; call it inside `tf.tidy` or a gradient. */
  run(x: Tensor, weights: ReadonlyMap<string, Tensor>, { masks, statistics }: PassOptions = {}): Tensor {
    const { tf, probe } = this;
    const values = new Map<string, Tensor>([...this.#constants, ...weights, [this.inputName, x]]);
    const ctx: TfContext = { tf, shape: probe.shape, ints: probe.ints };
    let dropped = 0;
    for (const node of this.#nodes) {
      const given = node.input.map((name) => values.get(name));
      if (node.opType === 'Dropout') {
        const mask = masks?.[dropped++];
        const value = given[0] as Tensor;
        values.set(output(node), mask ? tf.mul(value, mask) : value);
        continue;
      }
      if (node.opType === 'BatchNormalization') {
        values.set(output(node), this.#batchNorm(node, given as Tensor[], statistics));
        continue;
      }
      const results = this.#op(node)(node, given, ctx);
      results.forEach((t, i) => {
        values.set(output(node, i), t);
      });
    }
    const result = values.get(this.outputName);
    if (!result) throw new ModelError(`no node makes the output ${JSON.stringify(this.outputName)}`);
    return result;
  }

  release(): void {
    for (const t of this.#constants.values()) t.dispose();
    this.#constants.clear();
  }

  #op(node: NodeProto) {
    if (node.opType === 'Dropout' || node.opType === 'BatchNormalization') return () => [];
    const known = Object.hasOwn(TFJS_OPS, node.opType) && (node.domain === '' || node.domain === 'ai.onnx');
    return (known && TFJS_OPS[node.opType]) || unsupported(node, 'the TensorFlow.js engine does not have this op');
  }

  #batchNorm(node: NodeProto, [x, scale, bias, mean, variance]: Tensor[], statistics: Statistics | undefined): Tensor {
    const { tf } = this;
    if (!x || !scale || !bias || !mean || !variance) return unsupported(node, 'an input is missing');
    const column = (t: Tensor): Tensor => tf.reshape(t, [t.size, ...x.shape.slice(2).map(() => 1)]);
    const { runMean, runVariance } = batchNormInputs(node);
    let [m, v] = [mean, variance];
    // Frozen statistics are constants of the graph.
    if (statistics && this.free.has(runMean)) {
      const axes = [...x.shape.keys()].filter((i) => i !== 1);
      m = tf.mean(x, axes);
      v = tf.mean(tf.square(tf.sub(x, column(m))), axes);
      const momentum = floatAttr(node, 'momentum', 0.9);
      const blend = (old: Tensor, now: Tensor): Tensor =>
        tf.keep(tf.add(tf.mul(old, momentum), tf.mul(now, 1 - momentum)));
      statistics.set(runMean, blend(mean, m));
      statistics.set(runVariance, blend(variance, v));
    }
    const deviation = tf.sqrt(tf.add(v, floatAttr(node, 'epsilon', 1e-5)));
    const normal = tf.div(tf.sub(x, column(m)), column(deviation));
    return tf.add(tf.mul(normal, column(scale)), column(bias));
  }
}
