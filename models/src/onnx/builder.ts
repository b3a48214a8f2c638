import { create } from '@bufbuild/protobuf';
import { type ModelProto, ModelProtoSchema, type ValueInfoProto, ValueInfoProtoSchema } from '../gen/onnx_pb.js';
import {
  type AttributeValue,
  type DataType,
  floatTensor,
  int64Tensor,
  makeNode,
  type NodeProto,
  type TensorProto,
} from './model.js';

/** Opset and IR version of the models that we write ourselves. */
export const OPSET = 17;
const IR_VERSION = 8n;

/** A dimension: a fixed size, or a name for one that may vary (the batch). */
export type Dim = number | string;

export function valueInfo(name: string, elemType: DataType, dims: readonly Dim[]): ValueInfoProto {
  const dim = dims.map((d) => ({
    value:
      typeof d === 'number' ? { case: 'dimValue' as const, value: BigInt(d) } : { case: 'dimParam' as const, value: d },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  });
}

/**
 * Writes an ONNX graph node by node, in the order of the calls; a method that makes a tensor returns its name. Nothing is checked before the
 * model is run.
 */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  readonly #constants = new Map<string, string>();
  #next = 0;

  /**
   * @param prefix goes before every made-up name, so that it can't meet a name of an imported model.
   * @param opset of the model to be: some ops are written otherwise in newer ones.
   */
  constructor(
    private readonly prefix = '',
    readonly opset = OPSET,
  ) {}

  /** An input of the graph; a text as a dimension may have any size (the batch). */
  input(name: string, type: DataType, dims: readonly Dim[]): string {
    this.inputs.push(valueInfo(name, type, dims));
    return name;
  }

  /** Makes a tensor an output of the graph. */
  output(name: string, type: DataType, dims: readonly Dim[]): void {
    this.outputs.push(valueInfo(name, type, dims));
  }

  /** A node of one output with a made-up name. An empty name among the inputs leaves an optional one out. */
  op(type: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const name = this.fresh(type);
    this.nodes.push(makeNode(type, inputs, [name], attributes));
    return name;
  }

  /** Like `op`, with the output's name given. */
  named(
    name: string,
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string {
    this.nodes.push(makeNode(type, inputs, [name], attributes));
    return name;
  }

  /** A name that no other tensor of this builder has. */
  fresh(stem: string): string {
    return `${this.prefix}${stem}_${this.#next++}`;
  }

  /** A float32 initializer with a name of its own: a parameter. `data` is row-major. */
  weights(name: string, dims: readonly number[], data: Float32Array): string {
    this.initializers.push(floatTensor(name, dims, data));
    return name;
  }

  /** A float scalar, shared between uses. */
  scalar(value: number): string {
    return this.#constant(`f${value}`, (name) => floatTensor(name, [], Float32Array.of(value)));
  }

  /** A float32 constant with a made-up name. */
  floats(values: Float32Array, dims: readonly number[]): string {
    const name = this.fresh('const');
    this.initializers.push(floatTensor(name, dims, values));
    return name;
  }

  /** An int64 vector, shared between uses. */
  ints(values: readonly number[]): string {
    return this.#constant(`i${values.join(',')}`, (name) => int64Tensor(name, [values.length], values));
  }

  #constant(key: string, make: (name: string) => TensorProto): string {
    const known = this.#constants.get(key);
    if (known) return known;
    const name = this.fresh('const');
    this.initializers.push(make(name));
    this.#constants.set(key, name);
    return name;
  }

  /** The model of what was written so far, with ONNX metadata. */
  model(options: { name: string; metadata?: Readonly<Record<string, string>>; opset?: number }): ModelProto {
    return create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'ecavg',
      opsetImport: [{ domain: '', version: BigInt(options.opset ?? this.opset) }],
      graph: {
        name: options.name,
        node: this.nodes,
        initializer: this.initializers,
        input: this.inputs,
        output: this.outputs,
      },
      metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
    });
  }
}
