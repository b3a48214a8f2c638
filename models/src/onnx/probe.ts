import { create } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema } from '../gen/onnx_pb.js';
import { intData, ModelError, type ModelProto, serializeModel } from './model.js';
import { ort } from './runtime.js';
import { openSession } from './session.js';

/** What running a graph once told about its tensors. */
export interface Probe {
  /** Concrete shape of a tensor; throws ModelError for a name that the run did not see. */
  shape(name: string): readonly number[];
  /** Values of an integer tensor (axes, sizes, pads); undefined for other types. */
  ints(name: string): readonly number[] | undefined;
}

/** Longer integer tensors are data, not axes or sizes. */
const MAX_INTS = 1024;

/**
 * Runs a graph once on zeros with every intermediate as an output, and reads off the concrete shapes. That
 * covers each op ONNX Runtime has, and computed shapes of exported models (Shape, Gather, Concat
 * chains), without shape rules of our own.
 */
export async function probeModel(model: ModelProto, inputName: string, inputShape: readonly number[]): Promise<Probe> {
  const graph = model.graph;
  if (!graph) throw new ModelError('the model has no graph');
  const shapes = new Map<string, readonly number[]>();
  const values = new Map<string, readonly number[]>();
  for (const init of graph.initializer) {
    shapes.set(init.name, init.dims.map(Number));
    const ints = intData(init);
    if (ints && ints.length <= MAX_INTS) values.set(init.name, ints);
  }
  shapes.set(inputName, inputShape);
  const names = graph.node.flatMap((n) => n.output).filter((n) => n !== '');
  const probe = {
    ...model,
    graph: { ...graph, output: names.map((name) => create(ValueInfoProtoSchema, { name })), valueInfo: [] },
  };
  const session = await openSession(serializeModel(probe), 1, 'the model');
  try {
    const zeros = new Float32Array(inputShape.reduce((a, b) => a * b, 1));
    const out = await session.run({ [inputName]: new ort.Tensor('float32', zeros, [...inputShape]) });
    for (const name of names) {
      const tensor = out[name];
      if (!tensor) continue;
      shapes.set(name, tensor.dims);
      if ((tensor.type === 'int64' || tensor.type === 'int32') && tensor.size <= MAX_INTS) {
        values.set(name, Array.from(tensor.data as BigInt64Array | Int32Array, Number));
      }
    }
  } catch (cause) {
    throw new ModelError(
      `the model does not run on an input of shape [${inputShape.join(', ')}]: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    await session.release();
  }
  return {
    shape(name) {
      const known = shapes.get(name);
      if (!known) throw new ModelError(`tensor ${JSON.stringify(name)} has no known shape`);
      return known;
    },
    ints: (name) => values.get(name),
  };
}
