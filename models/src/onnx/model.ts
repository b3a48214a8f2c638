import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CodedError } from '@ecavg/protocol/errors';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../gen/onnx_pb.js';

export type { ModelProto, NodeProto, TensorProto };
export { DataType };

/** A model that can't be read, trained or run. The message is one sentence that names the node or tensor. */
export class ModelError extends CodedError {
  override readonly name = 'ModelError';
}

/** Name and shape of a tensor. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Parses the bytes of a `.onnx` file. @throws ModelError where they are none, or the graph is empty. */
export function parseModel(bytes: Uint8Array): ModelProto {
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    throw new ModelError('ECAVG_MODEL_FILE', `not an ONNX file: ${(cause as Error).message}`, { cause });
  }
  if (!model.graph || model.graph.node.length === 0)
    throw new ModelError('ECAVG_MODEL_FILE', 'not an ONNX model: it has no graph');
  return model;
}

/** The bytes of a model, as a `.onnx` file has them. */
export function serializeModel(model: ModelProto): Uint8Array {
  return toBinary(ModelProtoSchema, model);
}

/** Attribute values by plain JavaScript types; `{ float }` because 1 would be taken for an integer. */
export type AttributeValue = number | string | readonly number[] | { readonly float: number };

function makeAttribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === 'string') {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

export function makeNode(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input: [...input],
    output: [...output],
    name: `${opType}:${output[0] ?? ''}`,
    attribute: Object.entries(attributes).map(([k, v]) => makeAttribute(k, v)),
  });
}

function attribute(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((a) => a.name === name);
}

export function intAttr(node: NodeProto, name: string, fallback: number): number {
  const a = attribute(node, name);
  return a ? Number(a.i) : fallback;
}

export function floatAttr(node: NodeProto, name: string, fallback: number): number {
  return attribute(node, name)?.f ?? fallback;
}

export function intsAttr(node: NodeProto, name: string, fallback: readonly number[]): number[] {
  const a = attribute(node, name);
  return a ? a.ints.map(Number) : [...fallback];
}

export function stringAttr(node: NodeProto, name: string, fallback: string): string {
  const a = attribute(node, name);
  return a ? new TextDecoder().decode(a.s) : fallback;
}

/** "Conv node 'name' (-> output)" for messages. */
export function describeNode(node: NodeProto): string {
  return `${node.opType} node ${JSON.stringify(node.name)} (output ${JSON.stringify(node.output[0] ?? '')})`;
}

/** @throws ModelError for weights that lie elsewhere or have 16 bits. */
export function checkWeights(tensor: TensorProto): void {
  const name = JSON.stringify(tensor.name);
  if (tensor.dataLocation === DataLocation.EXTERNAL) {
    throw new ModelError(
      'ECAVG_MODEL_FILE',
      `tensor ${name} lies in an external file; save the model with its weights inside`,
    );
  }
  if (tensor.dataType === DataType.FLOAT16 || tensor.dataType === DataType.BFLOAT16) {
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `tensor ${name} has 16-bit weights (${DataType[tensor.dataType]}); export the model in float32`,
    );
  }
}

/** float32 values of an initializer as a fresh array; throws ModelError for other types and external data. */
export function floatData(tensor: TensorProto): Float32Array {
  const length = tensor.dims.reduce((a, d) => a * Number(d), 1);
  const name = JSON.stringify(tensor.name);
  checkWeights(tensor);
  if (tensor.dataType !== DataType.FLOAT) {
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `tensor ${name} has ONNX data type ${DataType[tensor.dataType] ?? tensor.dataType}; float32 is needed`,
    );
  }
  if (tensor.rawData.length > 0) {
    if (tensor.rawData.length !== length * 4) {
      throw new ModelError(
        'ECAVG_MODEL_FILE',
        `tensor ${name} holds ${tensor.rawData.length} bytes; its shape needs ${length * 4}`,
      );
    }
    // A copy, because raw_data may lie at an address that is not a multiple of 4.
    return new Float32Array(new Uint8Array(tensor.rawData).buffer);
  }
  if (tensor.floatData.length !== length) {
    throw new ModelError(
      'ECAVG_MODEL_FILE',
      `tensor ${name} holds ${tensor.floatData.length} values; its shape needs ${length}`,
    );
  }
  return Float32Array.from(tensor.floatData);
}

/** Values of an int64 or int32 initializer; undefined for other types. */
export function intData(tensor: TensorProto): number[] | undefined {
  const wide = tensor.dataType === DataType.INT64;
  if (!wide && tensor.dataType !== DataType.INT32) return undefined;
  if (tensor.rawData.length === 0) return wide ? tensor.int64Data.map(Number) : [...tensor.int32Data];
  const view = new DataView(tensor.rawData.buffer, tensor.rawData.byteOffset, tensor.rawData.byteLength);
  const width = wide ? 8 : 4;
  return Array.from({ length: tensor.rawData.length / width }, (_, i) =>
    wide ? Number(view.getBigInt64(i * 8, true)) : view.getInt32(i * 4, true),
  );
}

export function floatTensor(name: string, dims: readonly number[], data: Float32Array): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.FLOAT,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(),
  });
}

export function int64Tensor(name: string, dims: readonly number[], values: readonly number[]): TensorProto {
  const data = BigInt64Array.from(values, BigInt);
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.INT64,
    rawData: new Uint8Array(data.buffer),
  });
}

export function metadata(model: ModelProto, key: string): string | undefined {
  return model.metadataProps.find((p) => p.key === key)?.value;
}
