import { valueInfo } from './builder.js';
import { DataType, ModelError, type ModelProto, type NodeProto } from './model.js';
import { probeModel } from './probe.js';

/** A model cut in two at a value of its graph. */
export interface Cut {
  /** Name of the value. */
  readonly layer: string;
  /** Its shape for one sample. */
  readonly shape: readonly number[];
  /** From the input to the value. */
  readonly body: ModelProto;
  /** From the value to the output. */
  readonly head: ModelProto;
}

/** Name of the value that enters the last layer with weights: the features that a classifier's head works on. @throws ModelError for a model without such a layer. */
export function headInput(model: ModelProto): string {
  const graph = model.graph;
  const weights = new Set(graph?.initializer.filter((t) => t.dims.length > 1).map((t) => t.name));
  const last = graph?.node.findLast((n) => n.input.some((i) => weights.has(i)));
  const value = last?.input.find((i) => i !== '' && !weights.has(i));
  if (value === undefined) throw new ModelError('ECAVG_MODEL_SHAPE', 'the model has no layer with weights');
  return value;
}

/**
 * Cuts a model with one input and one output at a value of its graph.
 * @param layer name of the value. @param sample shape of one sample.
 * @throws ModelError where there is no such value, or the part behind it also needs another value from before it.
 */
export async function cutModel(model: ModelProto, layer: string, sample: readonly number[]): Promise<Cut> {
  const graph = model.graph;
  const inits = new Map(graph?.initializer.map((t) => [t.name, t]) ?? []);
  const entry = graph?.input.find((i) => !inits.has(i.name));
  if (!graph || !entry) throw new ModelError('ECAVG_MODEL_SHAPE', 'the model has no input');
  const maker = new Map(graph.node.flatMap((n) => n.output.map((o) => [o, n] as const)));
  if (!maker.has(layer)) {
    const names = graph.node.flatMap((n) => n.output).slice(0, 12);
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `no value ${JSON.stringify(layer)} in the model; there are ${names.join(', ')}, ...`,
    );
  }
  const before = new Set<NodeProto>();
  const open = [layer];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = maker.get(name);
    if (!node || before.has(node)) continue;
    before.add(node);
    open.push(...node.input);
  }
  const after = graph.node.filter((n) => !before.has(n));
  const made = new Set([layer, ...after.flatMap((n) => n.output), ...inits.keys(), '']);
  for (const n of after) {
    const past = n.input.find((i) => !made.has(i));
    if (past !== undefined)
      throw new ModelError(
        'ECAVG_MODEL_SHAPE',
        `the model can't be cut at ${JSON.stringify(layer)}: ${JSON.stringify(past)} goes past it`,
      );
  }
  const probe = await probeModel(model, entry.name, [2, ...sample]);
  const shape = probe.shape(layer).slice(1);
  const part = (nodes: readonly NodeProto[], input: typeof graph.input, output: typeof graph.output): ModelProto => {
    const used = new Set(nodes.flatMap((n) => n.input));
    const initializer = graph.initializer.filter((t) => used.has(t.name));
    return { ...model, graph: { ...graph, node: [...nodes], initializer, input, output } };
  };
  const value = valueInfo(layer, DataType.FLOAT, ['N', ...shape]);
  const first = graph.node.filter((n) => before.has(n));
  return { layer, shape, body: part(first, [entry], [value]), head: part(after, [value], graph.output) };
}
