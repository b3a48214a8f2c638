import { clone } from '@bufbuild/protobuf';
import { NodeProtoSchema, TensorProtoSchema } from '../gen/onnx_pb.js';
import { opOf } from '../ops/table.js';
import { DataType, ModelError, type ModelProto } from './model.js';

/**
 * Undoes what exporters do to a model that is only to be run:
 * - PyTorch stores tensors of equal value once and hands them out through Identity nodes. Two layers of batch
 *   normalisation that start alike would then be trained as one, so each gets a tensor of its own.
 * - An export in training mode has batch normalisation with further outputs, which ONNX Runtime's CPU kernel
 *   refuses; the inference form is what is published, and the training graph brings its own.
 * @throws ModelError where the model has no graph.
 */
export function normalizeForTraining(model: ModelProto): ModelProto {
  const graph = model.graph;
  if (!graph) throw new ModelError('ECAVG_MODEL_FILE', 'the model has no graph');
  const floats = new Map(graph.initializer.filter((t) => t.dataType === DataType.FLOAT).map((t) => [t.name, t]));
  const outputs = new Set(graph.output.map((o) => o.name));
  const initializer = [...graph.initializer];
  const node = graph.node.flatMap((n) => {
    const shared = n.opType === 'Identity' ? floats.get(n.input[0] ?? '') : undefined;
    const name = n.output[0] ?? '';
    if (shared && !outputs.has(name)) {
      const own = clone(TensorProtoSchema, shared);
      own.name = name;
      floats.set(name, own);
      initializer.push(own);
      return [];
    }
    if (!opOf(n)?.statistics || !n.attribute.some((a) => a.name === 'training_mode' && a.i !== 0n)) return [n];
    const plain = clone(NodeProtoSchema, n);
    plain.attribute = plain.attribute.filter((a) => a.name !== 'training_mode');
    plain.output = plain.output.slice(0, 1);
    return [plain];
  });
  const used = new Set([...node.flatMap((n) => n.input), ...outputs]);
  return { ...model, graph: { ...graph, node, initializer: initializer.filter((t) => used.has(t.name)) } };
}
