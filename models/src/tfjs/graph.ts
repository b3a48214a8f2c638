import type { Tensor } from '@tensorflow/tfjs-core';
import { DataType, floatData, ModelError, type ModelProto, type NodeProto } from '../onnx/model.js';
import { type Probe, probeModel } from '../onnx/probe.js';
import { output, unsupported } from '../ops/gradient.js';
import type { Tf, TfContext, TfOp } from '../ops/kernel.js';
import { knownOf } from '../ops/table.js';

/** Running statistics that a training pass renews; they are kept beyond `tidy`. */
export type Statistics = Map<string, Tensor>;

export interface PassOptions {
  /** Dropout masks in the order of the Dropout nodes; without them nothing is dropped. */
  readonly masks?: readonly Tensor[];
  /** Batch normalisation by the batch's own statistics: its new running ones are put here. */
  readonly statistics?: Statistics;
}

type Graph = NonNullable<ModelProto['graph']>;

/** Names of the graph's input and output. */
interface GraphIo {
  readonly input: string;
  readonly output: string;
}

/**
 * Executes an ONNX inference graph with TensorFlow.js ops, so that `tf.grads` can differentiate it. Shapes and integer
 * tensors come from a probing run in ONNX Runtime, as for our own gradient rules; what is computed
 * here are float32 tensors.
 */
export class TfjsGraph {
  readonly #nodes: readonly NodeProto[];
  readonly #constants = new Map<string, Tensor>();
  readonly #free: ReadonlySet<string>;

  private constructor(
    private readonly tf: Tf,
    private readonly probe: Probe,
    private readonly io: GraphIo,
    { graph, free }: { readonly graph: Graph; readonly free: ReadonlySet<string> },
  ) {
    this.#free = free;
    // Nodes that only work out sizes and axes are left out: the probing run has their values.
    this.#nodes = graph.node.filter((n) => n.output.some((o) => o !== '' && probe.ints(o) === undefined));
    for (const node of this.#nodes) kernelOf(node);
    for (const t of graph.initializer) {
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
    io: GraphIo & { readonly inputShape: readonly number[] },
    free: ReadonlySet<string>,
  ): Promise<TfjsGraph> {
    const probe = await probeModel(model, io.input, io.inputShape);
    if (!model.graph) throw new ModelError('ECAVG_MODEL_FILE', 'the model has no graph');
    return new TfjsGraph(tf, probe, io, { graph: model.graph, free });
  }

  /** The output for `x`; call it inside `tf.tidy` or a gradient. */
  run(x: Tensor, weights: ReadonlyMap<string, Tensor>, { masks, statistics }: PassOptions = {}): Tensor {
    const { tf, probe } = this;
    const values = new Map<string, Tensor>([...this.#constants, ...weights, [this.io.input, x]]);
    let dropped = 0;
    const ctx: TfContext = {
      tf,
      shape: probe.shape,
      ints: probe.ints,
      renewed: (name) => statistics !== undefined && this.#free.has(name),
      renew: (name, next) => statistics?.set(name, tf.keep(next)),
      mask: () => masks?.[dropped++],
    };
    for (const node of this.#nodes) {
      const given = node.input.map((name) => values.get(name));
      for (const [i, t] of kernelOf(node)(node, given, ctx).entries()) values.set(output(node, i), t);
    }
    const result = values.get(this.io.output);
    if (!result) throw new ModelError('ECAVG_DATA_FILE', `no node makes the output ${JSON.stringify(this.io.output)}`);
    return result;
  }

  release(): void {
    for (const t of this.#constants.values()) t.dispose();
    this.#constants.clear();
  }
}

const kernelOf = (node: NodeProto): TfOp =>
  knownOf(node)?.kernel ?? unsupported(node, 'the TensorFlow.js engine does not have this op');
