import { clone } from '@bufbuild/protobuf';
import { ArgumentError, type Layout, makeLayout } from '@ecavg/protocol';
import { type Artifact, readArtifact } from '../artifact.js';
import type { TrainingInfo } from '../autodiff/info.js';
import { buildTrainingGraph, type TrainingGraphOptions } from '../autodiff/trainingGraph.js';
import { NodeProtoSchema } from '../gen/onnx_pb.js';
import { floatData, floatTensor, ModelError, type ModelProto, serializeModel } from '../onnx/model.js';
import { probeModel } from '../onnx/probe.js';
import { WIDTH_STEP } from '../train/types.js';
import { type PermutationGroup, permutationGroups } from './groups.js';

/** A narrower model of the same depth: the leading hidden units of every layer. `width` is the share of them, in (0, 1). */
export interface Slice {
  readonly width: number;
  readonly layout: Layout;
  /** Where each value of the slice lies in the whole model's flat weights. */
  readonly positions: Int32Array;
  /** The inference model with the slice's weights. */
  readonly model: ModelProto;
}

/** Leading indices that stay, by tensor and axis. */
type Kept = ReadonlyMap<string, ReadonlyMap<number, number>>;

function keptAxes(groups: readonly PermutationGroup[], width: number): Kept {
  const kept = new Map<string, Map<number, number>>();
  for (const { size, members } of groups) {
    const units = Math.max(1, Math.ceil(width * size));
    for (const { tensor, axis, block } of members) {
      const axes = kept.get(tensor) ?? new Map<number, number>();
      kept.set(tensor, axes.set(axis, units * block));
    }
  }
  return kept;
}

/** Flat positions of the leading part of a tensor. */
function leading(shape: readonly number[], part: readonly number[], offset: number): Int32Array {
  const out = new Int32Array(part.reduce((a, d) => a * d, 1));
  const index = part.map(() => 0);
  for (let n = 0; n < out.length; n++) {
    out[n] = offset + index.reduce((at, i, axis) => at * (shape[axis] as number) + i, 0);
    for (let axis = part.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (part[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return out;
}

const partOf = (kept: Kept, name: string, shape: readonly number[]): number[] =>
  shape.map((d, axis) => Math.min(d, kept.get(name)?.get(axis) ?? d));

/**
 * The slice of a model that keeps the leading share `width` of the hidden units of every layer, at least one (HeteroFL: Diao et al. 2021,
 * arXiv:2010.01264, section 3). Which axes of which tensors shrink together follows from the graph, as for alignment.
 * HeteroFL's scaler, which divides a slice's activations by its width while it is trained, is left out.
 * @param sample shape of one sample.
 * @throws RangeError for a width that is not a multiple of 1/16 below 1; ModelError for a model without hidden units that can be left out.
 */
export async function sliceModel(
  model: ModelProto,
  layout: Layout,
  sample: readonly number[],
  width: number,
): Promise<Slice> {
  if (!(width > 0 && width < 1) || !Number.isInteger(width / WIDTH_STEP))
    throw new ArgumentError(
      'ECAVG_MODEL_OPTION',
      `a width of ${width}: it must be a multiple of 1/16 above 0 and below 1`,
    );
  const groups = await permutationGroups(model, sample);
  if (groups.length === 0 || !model.graph)
    throw new ModelError('ECAVG_MODEL_OPTION', 'the model has no hidden units that can be left out');
  const kept = keptAxes(groups, width);
  const initializer = model.graph.initializer.map((t) => {
    const shape = t.dims.map(Number);
    const part = partOf(kept, t.name, shape);
    if (part.join() === shape.join()) return t;
    const values = floatData(t);
    const own = Float32Array.from(leading(shape, part, 0), (at) => values[at] as number);
    return floatTensor(t.name, part, own);
  });
  // A depthwise convolution has as many groups as channels.
  const node = model.graph.node.map((n) => {
    const group = n.attribute.find((a) => a.name === 'group');
    const channels = kept.get(n.input[1] ?? '')?.get(0);
    if (n.opType !== 'Conv' || !group || group.i === 1n || channels === undefined) return n;
    const narrow = clone(NodeProtoSchema, n);
    for (const a of narrow.attribute) if (a.name === 'group') a.i = BigInt(channels);
    return narrow;
  });
  const sliced: ModelProto = { ...model, graph: { ...model.graph, initializer, node } };
  const entry = sliced.graph?.input.find((i) => !initializer.some((t) => t.name === i.name));
  // A model that reshapes to fixed sizes, say, does not run when it is narrower: that is found here, and not in the first step.
  await probeModel(sliced, entry?.name ?? '', [1, ...sample]);
  const slots = layout.tensors.map(({ name, shape }) => ({ name, shape: partOf(kept, name, shape) }));
  const narrow = makeLayout(slots);
  const positions = new Int32Array(narrow.total);
  for (const [k, { offset, shape }] of narrow.tensors.entries()) {
    const whole = layout.tensors[k];
    if (whole) positions.set(leading(whole.shape, shape, whole.offset), offset);
  }
  return { width, layout: narrow, positions, model: sliced };
}

/** The options that a training graph was built with, as far as they matter to build one for a model of the same tensors. */
export function trainingOptions(info: TrainingInfo): TrainingGraphOptions {
  return {
    loss: info.loss,
    ...(info.lossOptions && { lossOptions: info.lossOptions }),
    optimizer: info.optimizerOptions,
    batch: info.batch,
    sample: info.input.shape.slice(1),
    trainable: info.parameters.map((p) => p.name),
    ...(info.clipNorm !== undefined && { clipNorm: info.clipNorm }),
    proximal: info.proximal,
    batchNorm: info.buffers.length > 0 ? 'train' : 'frozen',
  };
}

/**
 * An artifact of the slice, with a training graph of its own; `sha256` stays that of the whole model, which updates are based on.
 * @throws RangeError or ModelError as `sliceModel` does, and where the slice trains other tensors than the whole model.
 */
export async function sliceArtifact(whole: Artifact, width: number): Promise<{ artifact: Artifact; slice: Slice }> {
  const options = trainingOptions(whole.info);
  const slice = await sliceModel(whole.model, whole.layout, options.sample, width);
  const train = serializeModel(await buildTrainingGraph(slice.model, options));
  const artifact = { ...readArtifact(serializeModel(slice.model), train), sha256: whole.sha256 };
  if (artifact.layout.hash !== slice.layout.hash)
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      'the slice of this model trains other tensors than the whole: it can not be sliced',
    );
  return { artifact, slice };
}

/** The values of a slice (`slice.layout.total`) out of the whole model's flat values. */
export const gather = (whole: Float32Array, { positions }: Pick<Slice, 'positions'>): Float32Array =>
  Float32Array.from(positions, (at) => whole[at] as number);
