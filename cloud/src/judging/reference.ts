import {
  type Artifact,
  createTrainer,
  type Evaluation,
  Evaluator,
  joinViews,
  refreshStatistics,
  type Trainer,
  type View,
} from '@ecavg/models';
import type { JudgingConfig } from './config.js';
import { FineTuner, type TeacherOutputs } from './fineTuner.js';
import type { Ingredients } from './ingredients.js';
import type { ReferenceSamples } from './referenceSamples.js';

/** Fine-tunes weights, `layout.total` values; undefined where fine-tuning is off, or diverged. */
export type FineTune = (weights: Float32Array) => Promise<Float32Array | undefined>;

interface ReferenceParts {
  readonly config: JudgingConfig;
  readonly artifact: Artifact;
  readonly samples: ReferenceSamples;
  /** Samples that edges shared; they are tuned on, never judged on. */
  readonly shared: () => Promise<readonly View[]>;
  readonly fineTuner: FineTuner;
  readonly trainer: Trainer;
  readonly evaluator: Evaluator;
}

/** What the cloud does with its reference samples: measures weights on the one part, trains on the other. */
export class ReferenceSet {
  private constructor(private readonly parts: ReferenceParts) {}

  static async create(
    config: JudgingConfig,
    artifact: Artifact,
    samples: ReferenceSamples,
    shared: () => Promise<readonly View[]> = async () => [],
  ): Promise<ReferenceSet> {
    const { engine, threads } = config;
    const fineTuner = await FineTuner.create(config, artifact);
    const trainer = await createTrainer(artifact, { engine, threads });
    const evaluator = await Evaluator.create(artifact.model, artifact.layout, threads, artifact.info.loss);
    return new ReferenceSet({ config, artifact, samples, shared, fineTuner, trainer, evaluator });
  }

  /** Accuracy and loss on the samples that are never tuned on. */
  evaluate(weights: Float32Array): Promise<Evaluation> {
    return this.parts.evaluator.evaluate(weights, this.parts.samples.guard);
  }

  /** The cloud's own difference from a version, trained on its reference samples; undefined without fine-tuning. */
  async ownDifference(base: Float32Array, round: number): Promise<Float32Array | undefined> {
    const { fineTuner, samples } = this.parts;
    const tuned = await fineTuner.tune(base, samples.tuning, round);
    return tuned?.map((w, i) => w - (base[i] as number));
  }

  /** Whether the model has statistics that `refresh` takes anew. */
  get hasStatistics(): boolean {
    return this.parts.artifact.info.buffers.length > 0;
  }

  /** Takes the statistics of batch normalisation anew: those of an average are off. */
  refresh(weights: Float32Array, round: number): Promise<Float32Array> {
    const { trainer, artifact, samples, config } = this.parts;
    const seed = config.model.seed + round;
    return refreshStatistics(trainer, artifact.info, weights, samples.tuning, { seed });
  }

  /** A round's fine-tuning: on which samples, and taught by which edges, is settled once for all its candidates. */
  async fineTuning(ingredients: Ingredients, round: number): Promise<FineTune> {
    const { fineTuner, samples, shared } = this.parts;
    const view = joinViews([samples.tuning, ...(await shared())]);
    const teachers = await this.#teacherOutputs(ingredients, view);
    return (weights) => fineTuner.tune(weights, view, round, teachers);
  }

  /** Ensemble distillation (FedDF: Lin et al. 2020, arXiv:2006.07242, equation 2): the mean of the edges' outputs, by their shares. */
  async #teacherOutputs(ingredients: Ingredients, view: View): Promise<TeacherOutputs | undefined> {
    const { config, evaluator } = this.parts;
    const { distill, epochs } = config.fineTune;
    if (distill.weight === 0 || epochs === 0) return undefined;
    const teachers = [...ingredients.edges].sort((a, b) => b.share - a.share).slice(0, distill.teachers);
    const all = teachers.reduce((a, t) => a + t.share, 0);
    if (!(all > 0)) return undefined;
    const logits = new Float32Array(view.indices.length * view.data.classes.length);
    for (const { edge, share } of teachers) {
      const out = await evaluator.outputs(await ingredients.modelOf(edge), view);
      if (!out.every(Number.isFinite)) continue;
      for (const [i, v] of out.entries()) logits[i] = (logits[i] as number) + (share / all) * v;
    }
    return { logits };
  }

  async release(): Promise<void> {
    const { fineTuner, trainer, evaluator } = this.parts;
    await fineTuner.release();
    await trainer.release();
    await evaluator.release();
  }
}
