/** `@ecavg/models/train`: trainers, evaluation and inference of a model with its training graph, and what keeps clients' weights alike. */
export { type Member as PermutationMember, type PermutationGroup, permutationGroups } from '../align/groups.js';
export { type Matched, matchWeights, permute } from '../align/match.js';
export { refreshStatistics } from '../align/refresh.js';
export { gather, type Slice, sliceArtifact, sliceModel, trainingOptions } from '../align/slice.js';
export { type Artifact, prepareArtifact, readArtifact, updateArtifact } from '../artifact.js';
export { type FolderManifest, readArtifactFolder, writeArtifactFolder } from '../folder.js';
export { createTrainer, requireEngine, type TrainerOptions } from './engine.js';
export { Evaluator, meanSquares } from './evaluator.js';
export { OrtTrainer } from './ortTrainer.js';
export { type Prediction, Predictor } from './predictor.js';
export {
  ENGINES,
  type EngineName,
  type Evaluation,
  SCHEDULES,
  type Schedule,
  type Trainer,
  type TrainOptions,
  type TrainResult,
  WIDTH_STEP,
} from './types.js';
