import { create } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema } from '../gen/onnx_pb.js';
import { intData, ModelError, type ModelProto, makeNode, type NodeProto, serializeModel } from './model.js';
import { floatTensorOf, loadRuntime, type Tensor } from './runtime.js';
import { openSession } from './session.js';

/** What running a graph once told about its tensors. */
export interface Probe {
  /** Concrete shape of a tensor; throws ModelError for a name that the run did not see. */
  shape(name: string): readonly number[];
  /** Values of an integer tensor (axes, sizes, pads); undefined for other types. */
  ints(name: string): readonly number[] | undefined;
}

const SHAPE_PREFIX = 'ecavg/shape/';

/** Longer integer tensors are data, not axes or sizes. */
const MAX_INTS = 1024;

/**
 * Runs a graph on zeros and reads off the concrete shape of every tensor. That covers each op ONNX Runtime
 * has, and computed shapes of exported models (Shape, Gather, Concat chains), without shape rules of our
 * own. Only shapes and small tensors leave the runtime, so that it takes no more memory than a forward pass.
 * @param inputShape batch included.
 * @throws ModelError where the model does not run on an input of this shape.
 */
export async function probeModel(model: ModelProto, inputName: string, inputShape: readonly number[]): Promise<Probe> {
  const graph = model.graph;
  if (!graph) throw new ModelError('ECAVG_MODEL_FILE', 'the model has no graph');
  const shapes = new Map<string, readonly number[]>();
  const values = new Map<string, readonly number[]>();
  for (const init of graph.initializer) {
    shapes.set(init.name, init.dims.map(Number));
    const ints = intData(init);
    if (ints && ints.length <= MAX_INTS) values.set(init.name, ints);
  }
  shapes.set(inputName, inputShape);
  const names = graph.node.flatMap((n) => n.output).filter((n) => n !== '');
  await loadRuntime();
  const feeds = { [inputName]: floatTensorOf(new Float32Array(product(inputShape)), inputShape) };
  const sizes = await runOnce(
    model,
    // With the last one first, ONNX Runtime reads each shape as soon as its tensor is there, and then frees the tensor.
    [...names].reverse().map((name) => makeNode('Shape', [name], [SHAPE_PREFIX + name])),
    feeds,
  );
  for (const name of names) {
    const size = sizes[SHAPE_PREFIX + name];
    if (size) shapes.set(name, Array.from(size.data as BigInt64Array, Number));
  }
  const small = names.filter((name) => product(shapes.get(name) ?? []) <= MAX_INTS);
  for (const [name, tensor] of Object.entries(await runOnce(model, small, feeds))) {
    if (tensor.type === 'int64' || tensor.type === 'int32') {
      values.set(name, Array.from(tensor.data as BigInt64Array | Int32Array, Number));
    }
  }
  return {
    shape(name) {
      const known = shapes.get(name);
      if (!known) throw new ModelError('ECAVG_MODEL_SHAPE', `tensor ${JSON.stringify(name)} has no known shape`);
      return known;
    },
    ints: (name) => values.get(name),
  };
}

const product = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);

/** Runs the graph with other outputs: tensors of its own by name, or what added nodes make. */
async function runOnce(
  model: ModelProto,
  outputs: readonly (string | NodeProto)[],
  feeds: Record<string, Tensor>,
): Promise<Record<string, Tensor>> {
  if (outputs.length === 0) return {};
  const graph = model.graph as NonNullable<ModelProto['graph']>;
  const added = outputs.filter((o) => typeof o !== 'string');
  const names = outputs.map((o) => (typeof o === 'string' ? o : (o.output[0] ?? '')));
  const output = names.map((name) => create(ValueInfoProtoSchema, { name }));
  const probe = { ...model, graph: { ...graph, node: [...graph.node, ...added], output, valueInfo: [] } };
  // Without the arena the memory of this one run is given back with the session.
  const session = await openSession(serializeModel(probe), 1, 'the model', { enableCpuMemArena: false });
  try {
    return { ...(await session.run(feeds)) };
  } catch (cause) {
    const shape = Object.values(feeds)[0]?.dims.join(', ');
    throw new ModelError(
      'ECAVG_MODEL_RUNTIME',
      `the model does not run on an input of shape [${shape}]: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  } finally {
    await session.release();
  }
}
