import {
  type Artifact,
  createTrainer,
  type Evaluation,
  Evaluator,
  ModelError,
  openData,
  refreshStatistics,
  splitByGroup,
  type Trainer,
  type View,
} from '@ecavg/models';
import type { CloudConfig } from './config.js';

/** Holds the cloud's reference samples: tunes on one part, judges on the other, which is never tuned on. */
export class Judge {
  private constructor(
    private readonly config: CloudConfig,
    private readonly artifact: Pick<Artifact, 'info'>,
    private readonly trainer: Trainer,
    private readonly evaluator: Evaluator,
    private readonly tuning: View,
    private readonly guard: View,
  ) {}

  /** Opens the reference data; the model may come later, once its sample shape is known. */
  static reference(config: CloudConfig): { tuning: View; guard: View } {
    const { data, split } = openData(config.data);
    const [tuning, guard] = splitByGroup(data, split.reference, [config.fineTune.share], config.data.seed, 'reference');
    if (!tuning?.length || !guard?.length) throw new RangeError('the reference set is too small to tune and judge on');
    return { tuning: { data, indices: tuning }, guard: { data, indices: guard } };
  }

  static async create(
    config: CloudConfig,
    artifact: Artifact,
    reference: { tuning: View; guard: View },
  ): Promise<Judge> {
    const trainer = await createTrainer(artifact, { engine: config.engine, threads: config.threads });
    const evaluator = await Evaluator.create(artifact.model, artifact.layout, config.threads);
    return new Judge(config, artifact, trainer, evaluator, reference.tuning, reference.guard);
  }

  evaluate(weights: Float32Array): Promise<Evaluation> {
    return this.evaluator.classify(weights, this.guard);
  }

  /** The cloud's own difference from a version, trained on its reference samples; undefined without fine-tuning. */
  async ownDifference(base: Float32Array, round: number): Promise<Float32Array | undefined> {
    const tuned = await this.fineTune(base, round);
    return tuned?.map((w, i) => w - (base[i] as number));
  }

  /** Takes the statistics of batch normalisation anew: those of an average of matched models are off. */
  refresh(weights: Float32Array, round: number): Promise<Float32Array> {
    return refreshStatistics(this.trainer, this.artifact.info, weights, this.tuning, {
      seed: this.config.model.seed + round,
    });
  }

  async release(): Promise<void> {
    await this.trainer.release();
    await this.evaluator.release();
  }

  /** Transfer learning on the reference samples; undefined where it is off, or diverged. */
  async fineTune(weights: Float32Array, round: number): Promise<Float32Array | undefined> {
    const { epochs, learningRate, momentum } = this.config.fineTune;
    if (epochs === 0) return undefined;
    this.trainer.setWeights(weights);
    try {
      await this.trainer.train(this.tuning, { epochs, learningRate, momentum, seed: this.config.model.seed + round });
    } catch (error) {
      // Weights that can't be tuned (an update that blew them up) are one candidate less, not the end of the round.
      if (error instanceof ModelError) return undefined;
      throw error;
    }
    return this.trainer.getWeights();
  }
}
