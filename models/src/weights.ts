import type { Layout } from '@ecavg/protocol';
import { ArgumentError } from '@ecavg/protocol/errors';
import type { GraphProto } from './gen/onnx_pb.js';
import { valueInfo } from './onnx/builder.js';
import { DataType, floatData, floatTensor, ModelError, type ModelProto } from './onnx/model.js';

/** The values of a model's tensors as one flat vector in the layout's order, `layout.total` long. @throws ModelError where it lacks one of them. */
export function extractWeights(model: ModelProto, layout: Layout): Float32Array {
  const inits = new Map(model.graph?.initializer.map((t) => [t.name, t]) ?? []);
  const flat = new Float32Array(layout.total);
  for (const slot of layout.tensors) {
    const tensor = inits.get(slot.name);
    if (!tensor || tensor.dims.map(Number).join() !== slot.shape.join()) {
      throw new ModelError(
        'ECAVG_MODEL_SHAPE',
        `the model has no tensor ${JSON.stringify(slot.name)} of shape [${slot.shape.join(', ')}]`,
      );
    }
    flat.set(floatData(tensor), slot.offset);
  }
  return flat;
}

/** A copy of the model with other values of the layout's tensors. @param flat `layout.total` values. @throws RangeError for another number. */
export function withWeights(model: ModelProto, layout: Layout, flat: Float32Array): ModelProto {
  if (flat.length !== layout.total)
    throw new ArgumentError('ECAVG_MODEL_SHAPE', `${flat.length} values for a layout of ${layout.total}`);
  const slots = new Map(layout.tensors.map((s) => [s.name, s]));
  const initializer = (model.graph?.initializer ?? []).map((t) => {
    const slot = slots.get(t.name);
    return slot ? floatTensor(t.name, slot.shape, flat.subarray(slot.offset, slot.offset + slot.length)) : t;
  });
  return replaceGraph(model, { initializer });
}

/** The same model with its parameters as inputs, so that one session evaluates any weights. */
export function withWeightInputs(model: ModelProto, layout: Layout): ModelProto {
  const names = new Set(layout.tensors.map((s) => s.name));
  const graph = model.graph;
  return replaceGraph(model, {
    initializer: (graph?.initializer ?? []).filter((t) => !names.has(t.name)),
    input: [
      ...(graph?.input ?? []).filter((i) => !names.has(i.name)),
      ...layout.tensors.map((s) => valueInfo(s.name, DataType.FLOAT, s.shape)),
    ],
  });
}

function replaceGraph(model: ModelProto, parts: Partial<Pick<GraphProto, 'initializer' | 'input'>>): ModelProto {
  if (!model.graph) throw new ModelError('ECAVG_MODEL_FILE', 'the model has no graph');
  return { ...model, graph: { ...model.graph, ...parts } };
}
