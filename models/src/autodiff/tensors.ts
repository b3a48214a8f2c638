import { DataType, ModelError, type ModelProto, type TensorSpec } from '../onnx/model.js';
import { input } from '../ops/gradient.js';
import type { RunningStatistics } from '../ops/record.js';
import { opOf } from '../ops/table.js';
import { matches } from '../patterns.js';

type Graph = NonNullable<ModelProto['graph']>;

interface Choice {
  readonly trainable?: readonly string[];
  readonly frozen?: readonly string[];
  readonly held?: readonly string[];
  readonly batchNorm?: 'train' | 'frozen';
}

/**
 * A scalar, as in Clip or Gelu, or one value spread over several axes of size 1, as exporters write the epsilon of
 * a normalisation that they take apart. A single value on one axis may be the bias of a single output.
 */
const isConstant = (t: Graph['initializer'][number], weighed: ReadonlySet<string>): boolean =>
  t.dims.length === 0 || (t.dims.length > 1 && t.dims.every((d) => d === 1n) && !weighed.has(t.name));

/**
 * Which tensors of a graph are trained and which follow. Parameters are the float32 initializers that some node
 * uses, without constants of the architecture (`isConstant`). Running statistics of batch normalisation are buffers, or stay constant with
 * `batchNorm: 'frozen'`.
 * @throws ModelError where a pattern fits no parameter, or nothing is left to train.
 */
export function chooseTensors(graph: Graph, choice: Choice): { parameters: TensorSpec[]; buffers: TensorSpec[] } {
  const statistics = new Set(ofBatchNorm(graph, ({ mean, variance }) => [mean, variance]));
  const used = new Set(graph.node.flatMap((n) => n.input));
  const weighed = new Set(graph.node.filter((n) => opOf(n)?.weighs).flatMap((n) => n.input));
  const floats = graph.initializer
    .filter((t) => t.dataType === DataType.FLOAT && used.has(t.name) && !isConstant(t, weighed))
    .map((t) => ({ name: t.name, shape: t.dims.map(Number) }));
  const candidates = floats.filter((t) => !statistics.has(t.name));
  for (const pattern of [...(choice.trainable ?? []), ...(choice.frozen ?? []), ...(choice.held ?? [])]) {
    if (!candidates.some((t) => matches([pattern], t.name))) {
      const names = candidates.slice(0, 8).map((t) => t.name);
      throw new ModelError(
        'ECAVG_MODEL_SHAPE',
        `no parameter is called ${JSON.stringify(pattern)}; there are ${names.join(', ')}${candidates.length > 8 ? ', ...' : ''}`,
      );
    }
  }
  const parameters = candidates.filter(
    (t) => matches(choice.trainable ?? ['*'], t.name) && !matches(choice.frozen ?? [], t.name),
  );
  if (parameters.length === 0)
    throw new ModelError('ECAVG_MODEL_SHAPE', 'the model has no float32 parameters to train');
  const buffers = choice.batchNorm === 'frozen' ? [] : floats.filter((t) => statistics.has(t.name));
  return { parameters, buffers };
}

/** Names of the parameters and statistics of batch normalisation: what FedBN keeps local (Li et al. 2021, arXiv:2102.07623). */
export function batchNormTensors(graph: Graph): string[] {
  return ofBatchNorm(graph, ({ parameters, mean, variance }) => [...parameters, mean, variance]);
}

/** Names of the running variances of batch normalisation, which must stay positive: an average of updates may not make them negative. */
export function varianceTensors(graph: Graph): string[] {
  return ofBatchNorm(graph, ({ variance }) => [variance]);
}

/** Names of the inputs at these places of every batch normalisation, node by node. */
function ofBatchNorm(graph: Graph, places: (of: RunningStatistics) => readonly number[]): string[] {
  return graph.node.flatMap((n) => {
    const statistics = opOf(n)?.statistics;
    return statistics ? places(statistics).map((i) => input(n, i)) : [];
  });
}

/**
 * Names of the tensors of the last layer that has any of `names`: what FedPer and FedRep keep local (Arivazhagan et al. 2019,
 * arXiv:1912.00818). A bias that is added by a node of its own belongs to it.
 */
export function headTensors(graph: Graph, names: ReadonlySet<string>): string[] {
  const head: string[] = [];
  for (const node of [...graph.node].reverse()) {
    const mine = node.input.filter((i) => names.has(i));
    head.push(...mine);
    if (mine.length > 0 && opOf(node)?.weighs) break;
  }
  return head;
}
