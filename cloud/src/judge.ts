import {
  type Artifact,
  createTrainer,
  type Evaluation,
  Evaluator,
  ModelError,
  openData,
  splitByGroup,
  type Trainer,
  type View,
} from '@ecavg/models';
import type { CloudConfig } from './config.js';

/** What became of a candidate, and the figures that decided it. */
export interface Verdict {
  readonly decision: 'fine-tuned' | 'average' | 'kept-previous';
  /** Weights of the new version; undefined where the previous one is kept. */
  readonly weights: Float32Array | undefined;
  readonly previous: Evaluation;
  readonly average: Evaluation;
  readonly fineTuned: Evaluation | undefined;
}

/** Holds the cloud's reference samples: tunes on one part, judges on the other, which is never tuned on. */
export class Judge {
  private constructor(
    private readonly config: CloudConfig,
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
    return new Judge(config, trainer, evaluator, reference.tuning, reference.guard);
  }

  evaluate(weights: Float32Array): Promise<Evaluation> {
    return this.evaluator.classify(weights, this.guard);
  }

  /**
   * Fine-tunes the average (transfer learning) and takes the better of both, unless it is worse than the
   * previous version by more than the tolerance: then averaging did harm and the previous one stays.
   */
  async decide(previousWeights: Float32Array, averageWeights: Float32Array, round: number): Promise<Verdict> {
    const previous = await this.evaluate(previousWeights);
    const average = await this.evaluate(averageWeights);
    const tuned = await this.#fineTune(averageWeights, round);
    const fineTuned = tuned && (await this.evaluate(tuned));
    const useTuned = tuned !== undefined && fineTuned !== undefined && fineTuned.accuracy >= average.accuracy;
    const [weights, score] = useTuned ? [tuned, fineTuned] : [averageWeights, average];
    const harmful =
      !(score.accuracy >= previous.accuracy - this.config.guard.tolerance) || !Number.isFinite(score.loss);
    return {
      decision: harmful ? 'kept-previous' : useTuned ? 'fine-tuned' : 'average',
      weights: harmful ? undefined : weights,
      previous,
      average,
      fineTuned,
    };
  }

  /** The cloud's own difference from a version, trained on its reference samples; undefined without fine-tuning. */
  async ownDifference(base: Float32Array, round: number): Promise<Float32Array | undefined> {
    const tuned = await this.#fineTune(base, round);
    return tuned?.map((w, i) => w - (base[i] as number));
  }

  async release(): Promise<void> {
    await this.trainer.release();
    await this.evaluator.release();
  }

  async #fineTune(weights: Float32Array, round: number): Promise<Float32Array | undefined> {
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
