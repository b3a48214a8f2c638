import { clone } from '@bufbuild/protobuf';
import { NodeProtoSchema } from '../gen/onnx_pb.js';
import type { Loss, LossOptions } from '../losses/names.js';
import { emitLoss } from '../losses/table.js';
import { GraphBuilder, OPSET } from '../onnx/builder.js';
import {
  checkWeights,
  DataType,
  describeNode,
  floatData,
  ModelError,
  type ModelProto,
  type NodeProto,
  type TensorSpec,
} from '../onnx/model.js';
import { probeModel } from '../onnx/probe.js';
import type { GradContext } from '../ops/gradient.js';
import { SUPPORTED_OPS } from '../ops/names.js';
import type { ForwardContext } from '../ops/record.js';
import { opOf } from '../ops/table.js';
import { emitClipping } from '../optimizers/clipping.js';
import type { OptimizerOptions } from '../optimizers/options.js';
import { emitOptimizer } from '../optimizers/table.js';
import { matches } from '../patterns.js';
import { METADATA_KEY, type TrainingInfo } from './info.js';
import { STEP } from './step.js';
import { chooseTensors } from './tensors.js';

const PREFIX = 'ecavg/';
const OLDEST_OPSET = 13;

/** How the training graph of a model is built. */
export interface TrainingGraphOptions {
  readonly loss: Loss;
  readonly lossOptions?: LossOptions;
  /** Default: sgd. */
  readonly optimizer?: OptimizerOptions;
  /** Samples in a step; fixed in the graph, so that ONNX Runtime can plan its memory. */
  readonly batch: number;
  /** Shape of one sample, without the batch. */
  readonly sample: readonly number[];
  /** Names of parameters to train, `*` for any text; default: all that are not frozen. */
  readonly trainable?: readonly string[];
  /** Names of parameters to leave as they are, `*` for any text. They become part of the training graph. */
  readonly frozen?: readonly string[];
  /**
   * Names of parameters that a step takes and returns unchanged, `*` for any text: like `frozen`, but their values can
   * be set for each run. They come last in the layout.
   */
  readonly held?: readonly string[];
  /** Scales the gradients down to this global norm. */
  readonly clipNorm?: number;
  /** Adds the FedProx term mu/2 |w - w_base|^2 (Li et al. 2020, arXiv:1812.06127, eq. 2). */
  readonly proximal?: boolean;
  /** train: batch statistics, and running ones that follow; frozen: the running ones as they are. Default: train. */
  readonly batchNorm?: 'train' | 'frozen';
  /** Also output each gradient as `{parameter}:grad`. */
  readonly gradients?: boolean;
}

/**
 * Builds the graph of one training step: forward, loss, backward by reverse-mode differentiation that
 * emits ordinary ONNX ops, and the optimiser's step.
 *
 * Inputs: every parameter and buffer by its name, the optimiser's state, the model's input, and by the names in STEP
 * the target (int32 class indices, -1 for none; or float32 of the output's shape, NaN for none), a weight for each
 * sample, the learning rate, momentum (sgd), dropout masks, and with `proximal` the scalar mu and `{parameter}:base`.
 * Outputs: `{name}:next` for parameters, buffers and state, STEP.loss, STEP.correct, with clipping STEP.gradientNorm.
 * @param model a float32 inference graph with one input and one output, opset 13 or later.
 * @throws ModelError naming the node and op that has no gradient rule.
 */
export async function buildTrainingGraph(model: ModelProto, options: TrainingGraphOptions): Promise<ModelProto> {
  const { graph, inputName, outputName, opset } = checkModel(model);
  const inputShape = [options.batch, ...options.sample];
  const probe = await probeModel(model, inputName, inputShape);
  const outputShape = probe.shape(outputName);
  if (outputShape[0] !== options.batch) {
    throw new ModelError(
      'ECAVG_MODEL_OPTION',
      `the output has shape [${outputShape.join(', ')}]; its first axis must be the batch (${options.batch})`,
    );
  }
  const chosen = chooseTensors(graph, options);
  const held = chosen.parameters.filter((p) => matches(options.held ?? [], p.name));
  const parameters = chosen.parameters.filter((p) => !held.includes(p));
  if (parameters.length === 0)
    throw new ModelError('ECAVG_MODEL_OP', 'every parameter is held: nothing is left to train');
  const buffers = [...chosen.buffers, ...held];
  const b = new GraphBuilder(PREFIX, Math.max(OPSET, opset));
  const free = new Set([...parameters, ...buffers].map((p) => p.name));
  b.initializers.push(...graph.initializer.filter((t) => !free.has(t.name)));
  b.input(inputName, DataType.FLOAT, inputShape);
  for (const p of [...parameters, ...buffers]) b.input(p.name, DataType.FLOAT, p.shape);

  const wanted = new Set(parameters.map((p) => p.name));
  const copies = new Map<NodeProto, NodeProto>();
  const saved: GradContext['saved'] = new Map();
  const masks: TrainingInfo['masks'][number][] = [];
  for (const { name, shape } of held) b.output(b.named(`${name}:next`, 'Identity', [name]), DataType.FLOAT, shape);
  const statistics = new Set(chosen.buffers.map((t) => t.name));
  const forward: ForwardContext = {
    b,
    shape: probe.shape,
    renewed: (tensor) => statistics.has(tensor),
    renew(tensor, next) {
      b.output(b.named(`${tensor}:next`, 'Identity', [next]), DataType.FLOAT, probe.shape(tensor));
    },
    constant: (tensor) => floatConstant(graph, tensor),
    mask(shape, ratio) {
      const name = `${PREFIX}dropout${masks.length}`;
      masks.push({ name, shape, ratio });
      return b.input(name, DataType.FLOAT, shape);
    },
    save: (node, tensors) => saved.set(node, tensors),
  };
  for (const node of graph.node) {
    if (node.input.some((i) => wanted.has(i))) for (const o of node.output) wanted.add(o);
    if (opOf(node)?.training?.(node, forward)) continue;
    const copy = clone(NodeProtoSchema, node);
    copies.set(node, copy);
    b.nodes.push(copy);
  }

  const { loss, correct, gradient } = emitLoss(b, options.loss, {
    output: outputName,
    shape: outputShape,
    options: options.lossOptions,
  });
  const gradients = backpropagate(graph.node, outputName, gradient, {
    b,
    shape: probe.shape,
    ints: probe.ints,
    needs: (t) => wanted.has(t),
    forward: (n) => copies.get(n) ?? n,
    saved,
  });
  const state = emitUpdate(b, parameters, gradients, options);
  b.output(b.named(STEP.loss, 'Identity', [loss]), DataType.FLOAT, []);
  b.output(b.named(STEP.correct, 'Identity', [correct]), DataType.FLOAT, []);

  const info: TrainingInfo = {
    batch: options.batch,
    loss: options.loss,
    ...(options.lossOptions && { lossOptions: options.lossOptions }),
    optimizer: options.optimizer?.type ?? 'sgd',
    optimizerOptions: options.optimizer ?? { type: 'sgd' },
    ...(options.clipNorm !== undefined && { clipNorm: options.clipNorm }),
    input: { name: inputName, shape: inputShape },
    output: { name: outputName, shape: outputShape },
    parameters,
    buffers,
    state,
    masks,
    proximal: options.proximal === true,
  };
  return b.model({
    name: `${graph.name}:train`,
    metadata: { [METADATA_KEY]: JSON.stringify(info) },
  });
}

type Graph = NonNullable<ModelProto['graph']>;

function checkModel(model: ModelProto): { graph: Graph; inputName: string; outputName: string; opset: number } {
  const graph = model.graph;
  const inits = new Map(graph?.initializer.map((t) => [t.name, t]) ?? []);
  const inputs = graph?.input.filter((i) => !inits.has(i.name)) ?? [];
  const [first, out] = [inputs[0], graph?.output[0]];
  if (!graph || !first || !out || inputs.length !== 1 || graph.output.length !== 1) {
    throw new ModelError(
      'ECAVG_MODEL_OP',
      `a model to train has one input and one output; this one has ${inputs.length} and ${graph?.output.length ?? 0}`,
    );
  }
  const opset = Number(model.opsetImport.find((o) => o.domain === '' || o.domain === 'ai.onnx')?.version ?? 0);
  if (opset < OLDEST_OPSET)
    throw new ModelError(
      'ECAVG_MODEL_OP',
      `the model has opset ${opset}; export it with opset ${OLDEST_OPSET} or later`,
    );
  for (const tensor of graph.initializer) checkWeights(tensor);
  return { graph, inputName: first.name, outputName: out.name, opset };
}

function floatConstant(graph: Graph, name: string): number | undefined {
  const tensor = graph.initializer.find((t) => t.name === name);
  return tensor && floatData(tensor)[0];
}

/** FedProx term, clipping and the optimiser; returns the optimiser's state. */
function emitUpdate(
  b: GraphBuilder,
  parameters: readonly TensorSpec[],
  gradients: ReadonlyMap<string, string>,
  options: TrainingGraphOptions,
): TensorSpec[] {
  const mu = options.proximal ? b.input(STEP.mu, DataType.FLOAT, []) : undefined;
  let steps = parameters.map(({ name, shape }) => {
    const g = gradients.get(name);
    if (!g) throw new ModelError('ECAVG_MODEL_OPTION', `parameter ${JSON.stringify(name)} does not reach the output`);
    if (!mu) return g;
    const away = b.op('Sub', [name, b.input(`${name}:base`, DataType.FLOAT, shape)]);
    return b.op('Add', [g, b.op('Mul', [away, mu])]);
  });
  if (options.gradients) {
    parameters.forEach(({ name, shape }, i) => {
      b.output(b.named(`${name}:grad`, 'Identity', [steps[i] as string]), DataType.FLOAT, shape);
    });
  }
  if (options.clipNorm !== undefined) steps = emitClipping(b, steps, options.clipNorm);
  const withGradients = parameters.map((p, i) => ({ ...p, gradient: steps[i] as string }));
  return emitOptimizer(b, withGradients, options.optimizer ?? { type: 'sgd' });
}

/** Walks the forward nodes backwards and returns the gradient of every tensor that needs one. */
function backpropagate(nodes: readonly NodeProto[], last: string, seed: string, ctx: GradContext): Map<string, string> {
  const gradients = new Map([[last, seed]]);
  for (const node of [...nodes].reverse()) {
    const all = node.output.map((o) => gradients.get(o));
    if (all.every((g) => g === undefined) || !node.input.some((i) => ctx.needs(i))) continue;
    const op = opOf(node);
    if (!op) {
      throw new ModelError(
        'ECAVG_MODEL_OP',
        `${describeNode(node)} can't be trained through: supported are ${SUPPORTED_OPS.join(', ')}`,
      );
    }
    op.gradient(node, all[0] ?? '', ctx, all).forEach((dx, i) => {
      const name = node.input[i];
      if (dx === undefined || name === undefined || !ctx.needs(name)) return;
      const before = gradients.get(name);
      gradients.set(name, before ? ctx.b.op('Add', [before, dx]) : dx);
    });
  }
  return gradients;
}
