import { type Layout, sha256Hex } from '@ecavg/protocol';
import { type TrainingInfo, trainingInfo, trainingLayout } from './autodiff/info.js';
import { buildTrainingGraph, type TrainingGraphOptions } from './autodiff/trainingGraph.js';
import { type ModelProto, parseModel, serializeModel } from './onnx/model.js';
import { normalizeForTraining } from './onnx/normalize.js';
import { extractWeights, withWeights } from './weights.js';

/**
 * A model as it is stored and published: `infer`, the bytes of its `.onnx` with weights, `train`, those of the training graph without, and
 * what follows from both. `weights` are flat, in the order of `layout`.
 */
export interface Artifact {
  readonly infer: Uint8Array;
  readonly train: Uint8Array;
  readonly model: ModelProto;
  readonly info: TrainingInfo;
  readonly layout: Layout;
  readonly weights: Float32Array;
  /** sha256 of `infer`: the name of this version, and the base hash of updates made from it. */
  readonly sha256: string;
}

/** Makes an artifact of an inference model: writes its training graph. @throws ModelError where it can't be trained. */
export async function prepareArtifact(model: ModelProto, options: TrainingGraphOptions): Promise<Artifact> {
  const own = normalizeForTraining(model);
  return readArtifact(serializeModel(own), serializeModel(await buildTrainingGraph(own, options)));
}

/**
 * Parses the bytes of both files and checks that they belong together.
 * @throws ModelError where one is no such file, or the model lacks a tensor that the training graph trains.
 */
export function readArtifact(infer: Uint8Array, train: Uint8Array): Artifact {
  const model = parseModel(infer);
  const info = trainingInfo(parseModel(train));
  const layout = trainingLayout(info);
  return { infer, train, model, info, layout, weights: extractWeights(model, layout), sha256: sha256Hex(infer) };
}

/** The next version: the same graphs with other weights. @param weights `layout.total` float32 values. @throws RangeError for another number. */
export function updateArtifact(base: Artifact, weights: Float32Array): Artifact {
  const model = withWeights(base.model, base.layout, weights);
  const infer = serializeModel(model);
  return { ...base, infer, model, weights, sha256: sha256Hex(infer) };
}
