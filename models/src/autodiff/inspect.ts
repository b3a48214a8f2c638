import { ModelError, type ModelProto } from '../onnx/model.js';
import { OPS } from '../ops/table.js';

export interface Inspection {
  readonly opset: number;
  readonly producer: string;
  readonly input: { readonly name: string; readonly shape: readonly (number | string)[] };
  readonly output: { readonly name: string; readonly shape: readonly (number | string)[] };
  /** How often each op stands in the graph, and whether a gradient can pass through it. */
  readonly ops: readonly { readonly op: string; readonly count: number; readonly trainable: boolean }[];
  readonly parameters: number;
}

/**
 * What a model is made of, without running it: opset, producer, input and output (sizes that are not fixed by name), ops, and how many
 * values its initializers hold.
 * @throws ModelError for a model without an input or an output.
 */
export function inspectModel(model: ModelProto): Inspection {
  const graph = model.graph;
  const inits = new Set(graph?.initializer.map((t) => t.name));
  const inputs = graph?.input.filter((i) => !inits.has(i.name)) ?? [];
  const [first, out] = [inputs[0], graph?.output[0]];
  if (!graph || !first || !out) throw new ModelError('ECAVG_MODEL_SHAPE', 'the model has no input or no output');
  const counts = new Map<string, number>();
  for (const n of graph.node) counts.set(n.opType, (counts.get(n.opType) ?? 0) + 1);
  const values = graph.initializer.map((t) => t.dims.reduce((a, d) => a * Number(d), 1));
  return {
    opset: Number(model.opsetImport.find((o) => o.domain === '' || o.domain === 'ai.onnx')?.version ?? 0),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' ') || 'unknown',
    input: { name: first.name, shape: shapeOf(first) },
    output: { name: out.name, shape: shapeOf(out) },
    ops: [...counts].sort().map(([op, count]) => ({ op, count, trainable: Object.hasOwn(OPS, op) })),
    parameters: values.reduce((a, v) => a + v, 0),
  };
}

type Value = NonNullable<ModelProto['graph']>['input'][number];

function shapeOf(value: Value): (number | string)[] {
  const type = value.type?.value;
  const dims = type?.case === 'tensorType' ? (type.value.shape?.dim ?? []) : [];
  return dims.map((d) =>
    d.value.case === 'dimValue' ? Number(d.value.value) : d.value.case === 'dimParam' ? d.value.value : '?',
  );
}

/**
 * The shape of one sample: the input's axes behind the batch.
 * @throws ModelError where one of them is not fixed and none is given.
 */
export function sampleShape(model: ModelProto, given?: readonly number[]): number[] {
  const { input } = inspectModel(model);
  if (given) return [...given];
  const [, ...rest] = input.shape;
  const open = rest.filter((d) => typeof d !== 'number');
  if (input.shape.length < 2 || open.length > 0) {
    throw new ModelError(
      'ECAVG_DATA_FILE',
      `input ${JSON.stringify(input.name)} has shape [${input.shape.join(', ')}]: its size is not fixed; give one sample's shape, as in --sample 3,32,32`,
    );
  }
  return rest as number[];
}
