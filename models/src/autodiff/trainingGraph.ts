import { clone } from '@bufbuild/protobuf';
import { type Layout, makeLayout } from '@ecavg/protocol';
import { NodeProtoSchema } from '../gen/onnx_pb.js';
import { GraphBuilder, OPSET } from '../onnx/builder.js';
import { DataType, describeNode, ModelError, type ModelProto, metadata, type NodeProto } from '../onnx/model.js';
import { probeShapes } from '../onnx/probe.js';
import { convRules } from './conv.js';
import { denseRules } from './dense.js';
import { elementwiseRules } from './elementwise.js';
import { emitLoss, type Loss } from './losses.js';
import { poolingRules } from './pooling.js';
import type { GradContext, GradRule } from './rules.js';

const RULES: Readonly<Record<string, GradRule>> = {
  ...denseRules,
  ...convRules,
  ...poolingRules,
  ...elementwiseRules,
};

/** The ops that can be trained through. */
export const SUPPORTED_OPS: readonly string[] = Object.keys(RULES).sort();

const METADATA_KEY = 'ecavg.training';
const PREFIX = 'ecavg/';

/** What a training graph says of itself, in its ONNX metadata. */
export interface TrainingInfo {
  readonly batch: number;
  readonly loss: Loss;
  /** Name and shape (batch first) of the model's input and output. */
  readonly input: { readonly name: string; readonly shape: readonly number[] };
  readonly output: { readonly name: string; readonly shape: readonly number[] };
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

export interface TrainingGraphOptions {
  readonly loss: Loss;
  /** Samples in a step; fixed in the graph, so that ONNX Runtime can plan its memory. */
  readonly batch: number;
  /** Shape of one sample, without the batch. */
  readonly sample: readonly number[];
  /** Also output each gradient as `{parameter}:grad`. */
  readonly gradients?: boolean;
}

/**
 * Builds the graph of one training step: forward, loss, backward by reverse-mode differentiation that
 * emits ordinary ONNX ops, and SGD with momentum: v <- mu v + g, w <- w - lr v.
 *
 * Inputs: every parameter by its name, `{name}:velocity`, the model's input, `y` (int32 class indices,
 * or float32 of the output's shape for mse), `weight` (float32, a sample), `lr` and `momentum` (scalars).
 * Outputs: `{name}:next`, `{name}:velocity:next`, `loss`, `correct`.
 * @param model a float32 inference graph with one input and one output; its initializers of float type
 *   that lead to the output are the parameters.
 * @throws ModelError naming the node and op that has no gradient rule.
 */
export async function buildTrainingGraph(model: ModelProto, options: TrainingGraphOptions): Promise<ModelProto> {
  const graph = model.graph;
  const inits = new Map(graph?.initializer.map((t) => [t.name, t]) ?? []);
  const inputs = graph?.input.filter((i) => !inits.has(i.name)) ?? [];
  const [input, output] = [inputs[0], graph?.output[0]];
  if (!graph || !input || !output || inputs.length !== 1 || graph.output.length !== 1) {
    throw new ModelError(
      `a model to train has one input and one output; this one has ${inputs.length} and ${graph?.output.length ?? 0}`,
    );
  }
  const inputShape = [options.batch, ...options.sample];
  const shapes = await probeShapes(model, input.name, inputShape);
  const shape = (name: string): readonly number[] => {
    const s = shapes.get(name);
    if (!s) throw new ModelError(`tensor ${JSON.stringify(name)} has no known shape`);
    return s;
  };
  const outputShape = shape(output.name);
  if (outputShape[0] !== options.batch) {
    throw new ModelError(
      `the output has shape [${outputShape.join(', ')}]; its first axis must be the batch (${options.batch})`,
    );
  }
  const parameters = graph.initializer
    .filter((t) => t.dataType === DataType.FLOAT && graph.node.some((n) => n.input.includes(t.name)))
    .map((t) => ({ name: t.name, shape: t.dims.map(Number) }));
  if (parameters.length === 0) throw new ModelError('the model has no float32 parameters to train');

  const b = new GraphBuilder(PREFIX);
  const wanted = new Set(parameters.map((p) => p.name));
  b.initializers.push(...graph.initializer.filter((t) => !wanted.has(t.name)));
  b.input(input.name, DataType.FLOAT, inputShape);
  for (const p of parameters) b.input(p.name, DataType.FLOAT, p.shape);
  const copies = new Map<NodeProto, NodeProto>();
  for (const node of graph.node) {
    const copy = clone(NodeProtoSchema, node);
    copies.set(node, copy);
    b.nodes.push(copy);
    if (node.input.some((i) => wanted.has(i))) for (const o of node.output) wanted.add(o);
  }

  const { loss, correct, gradient } = emitLoss(b, options.loss, output.name, outputShape);
  const gradients = backpropagate(graph.node, output.name, gradient, {
    b,
    shape,
    needs: (t) => wanted.has(t),
    forward: (n) => copies.get(n) ?? n,
  });

  const lr = b.input('lr', DataType.FLOAT, []);
  const momentum = b.input('momentum', DataType.FLOAT, []);
  for (const { name, shape: dims } of parameters) {
    const g = gradients.get(name);
    if (!g) throw new ModelError(`parameter ${JSON.stringify(name)} does not reach the output`);
    const velocity = b.input(`${name}:velocity`, DataType.FLOAT, dims);
    const next = b.named(`${name}:velocity:next`, 'Add', [b.op('Mul', [velocity, momentum]), g]);
    b.output(next, DataType.FLOAT, dims);
    b.output(b.named(`${name}:next`, 'Sub', [name, b.op('Mul', [next, lr])]), DataType.FLOAT, dims);
    if (options.gradients) b.output(b.named(`${name}:grad`, 'Identity', [g]), DataType.FLOAT, dims);
  }
  b.output(b.named('loss', 'Identity', [loss]), DataType.FLOAT, []);
  b.output(b.named('correct', 'Identity', [correct]), DataType.FLOAT, []);

  const info: TrainingInfo = {
    batch: options.batch,
    loss: options.loss,
    input: { name: input.name, shape: inputShape },
    output: { name: output.name, shape: outputShape },
    parameters,
  };
  const opset = Math.max(OPSET, ...model.opsetImport.filter((o) => o.domain === '').map((o) => Number(o.version)));
  return b.model({ name: `${graph.name}:train`, opset, metadata: { [METADATA_KEY]: JSON.stringify(info) } });
}

/** Walks the forward nodes backwards and returns the gradient of every tensor that needs one. */
function backpropagate(
  nodes: readonly NodeProto[],
  output: string,
  seed: string,
  ctx: GradContext,
): Map<string, string> {
  const gradients = new Map([[output, seed]]);
  for (const node of [...nodes].reverse()) {
    const dy = gradients.get(node.output[0] ?? '');
    if (dy === undefined || !node.input.some((i) => ctx.needs(i))) continue;
    const rule = Object.hasOwn(RULES, node.opType) && node.domain === '' ? RULES[node.opType] : undefined;
    if (!rule) {
      throw new ModelError(`${describeNode(node)} can't be trained through: supported are ${SUPPORTED_OPS.join(', ')}`);
    }
    rule(node, dy, ctx).forEach((dx, i) => {
      const name = node.input[i];
      if (dx === undefined || name === undefined || !ctx.needs(name)) return;
      const known = gradients.get(name);
      gradients.set(name, known ? ctx.b.op('Add', [known, dx]) : dx);
    });
  }
  return gradients;
}

/** Reads what `buildTrainingGraph` wrote; throws ModelError for any other graph. */
export function trainingInfo(model: ModelProto): TrainingInfo {
  const text = metadata(model, METADATA_KEY);
  if (!text) throw new ModelError('not a training graph made by ecavg (its metadata is missing)');
  return JSON.parse(text) as TrainingInfo;
}

/** The flat order of the parameters: what updates and averages are made of. */
export function trainingLayout(info: TrainingInfo): Layout {
  return makeLayout(info.parameters);
}
