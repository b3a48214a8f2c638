import { create } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema } from '../gen/onnx_pb.js';
import { ModelError, type ModelProto, serializeModel } from './model.js';
import { ort } from './runtime.js';
import { openSession } from './session.js';

/**
 * The concrete shape of every tensor of a graph, found by running it once on zeros with every
 * intermediate as an output. That covers each op ONNX Runtime has, and computed shapes of exported
 * models (Shape, Gather, Concat chains), without shape rules of our own.
 */
export async function probeShapes(
  model: ModelProto,
  inputName: string,
  inputShape: readonly number[],
): Promise<Map<string, readonly number[]>> {
  const graph = model.graph;
  if (!graph) throw new ModelError('the model has no graph');
  const shapes = new Map<string, readonly number[]>();
  for (const init of graph.initializer) shapes.set(init.name, init.dims.map(Number));
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
      if (tensor) shapes.set(name, tensor.dims);
    }
  } catch (cause) {
    throw new ModelError(
      `the model does not run on an input of shape [${inputShape.join(', ')}]: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    await session.release();
  }
  return shapes;
}
