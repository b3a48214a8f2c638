import {
  type Artifact,
  createTrainer,
  cutModel,
  headInput,
  joinViews,
  ModelError,
  prepareArtifact,
  type Trainer,
  trainingOptions,
  type View,
} from '@ecavg/models';
import type { EngineConfig, FineTuneConfig } from './config.js';

type Options = EngineConfig & { readonly fineTune: FineTuneConfig };

interface HeadTunerParts {
  readonly features: FineTuneConfig['features'];
  readonly artifact: Artifact;
  readonly layer: string;
  readonly shape: readonly number[];
  /** Trains the head alone. */
  readonly trainer: Trainer;
}

/**
 * Tunes the head of a version on activations that edges shared of that same version: the body is not touched, so the activations stay
 * true, and no raw sample leaves a site (as CCVR does with statistics of them: Luo et al. 2021, arXiv:2106.05001, section 4).
 */
export class HeadTuner {
  /** The value of the graph whose activations are tuned on. */
  readonly layer: string;
  /** Shape of the activations of one sample. */
  readonly shape: readonly number[];

  private constructor(private readonly parts: HeadTunerParts) {
    this.layer = parts.layer;
    this.shape = parts.shape;
  }

  /**
   * Undefined where `fineTune.features.samples` is 0.
   * @throws ModelError where the model can't be cut there.
   */
  static async create(config: Options, artifact: Artifact): Promise<HeadTuner | undefined> {
    const { features } = config.fineTune;
    if (features.samples === 0) return undefined;
    const options = trainingOptions(artifact.info);
    const layer = features.layer ?? headInput(artifact.model);
    const { head, shape } = await cutModel(artifact.model, layer, options.sample);
    const { loss, batch, lossOptions, optimizer } = options;
    const cut = await prepareArtifact(head, {
      loss,
      batch,
      sample: shape,
      ...(lossOptions && { lossOptions }),
      ...(optimizer && { optimizer }),
      proximal: true,
    });
    const { engine, threads } = config;
    const trainer = await createTrainer(cut, { engine, threads });
    return new HeadTuner({ features, artifact, layer, shape, trainer });
  }

  /** A copy of the weights with the head tuned on the activations; undefined where that diverged. */
  async tune(
    weights: Float32Array,
    views: readonly [View, ...View[]],
    seed: number,
  ): Promise<Float32Array | undefined> {
    const { epochs, learningRate, l2 } = this.parts.features;
    const places = new Map(this.parts.artifact.layout.tensors.map((t) => [t.name, t.offset]));
    const { tensors, total } = this.parts.trainer.layout;
    const head = new Float32Array(total);
    for (const { name, offset, length } of tensors) {
      const from = places.get(name) as number;
      head.set(weights.subarray(from, from + length), offset);
    }
    this.parts.trainer.setWeights(head);
    try {
      const run = { epochs, learningRate, momentum: 0.9, schedule: 'cosine', mu: l2, seed } as const;
      await this.parts.trainer.train(joinViews(views), run);
    } catch (error) {
      if (error instanceof ModelError) return undefined;
      throw error;
    }
    const tuned = weights.slice();
    const after = this.parts.trainer.getWeights();
    for (const { name, offset, length } of tensors)
      tuned.set(after.subarray(offset, offset + length), places.get(name) as number);
    return tuned;
  }

  release(): Promise<void> {
    return this.parts.trainer.release();
  }
}
