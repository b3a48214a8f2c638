import {
  type Artifact,
  createTrainer,
  type DataSet,
  type Evaluation,
  Evaluator,
  everything,
  joinViews,
  loadRecordings,
  openData,
  refreshStatistics,
  splitByGroup,
  type Trainer,
  type View,
} from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import type { JudgingConfig } from './config.js';
import type { Parts } from './parts.js';
import { type Teaching, Tuner } from './tuner.js';

/** The cloud's own samples: recordings of a stream, or the reference part of a built-in data set. */
async function openReference(
  { data }: JudgingConfig,
  warn?: (why: string) => void,
): Promise<{ data: DataSet; samples: Int32Array }> {
  const { stream, reference } = data;
  if (!stream) {
    const shared = openData(data);
    return { data: shared.data, samples: shared.split.reference };
  }
  if (!reference) throw new ConfigError('data.stream needs data.reference: recordings that the cloud judges models on');
  const windows = await loadRecordings(stream, reference, warn);
  return { data: windows, samples: everything(windows).indices };
}

/** Holds the cloud's reference samples: tunes on one part, judges on the other, which is never tuned on. */
export class Judge {
  private constructor(
    private readonly config: JudgingConfig,
    private readonly artifact: Artifact,
    private readonly tuner: Tuner,
    private readonly trainer: Trainer,
    private readonly evaluator: Evaluator,
    private readonly tuning: View,
    private readonly guard: View,
    /** Samples that edges shared. */
    private readonly shared: () => Promise<readonly View[]>,
  ) {}

  /** Opens the reference data; the model may come later, once its sample shape is known. */
  static async reference(config: JudgingConfig, warn?: (why: string) => void): Promise<{ tuning: View; guard: View }> {
    const { data, samples } = await openReference(config, warn);
    const [tuning, guard] = splitByGroup(data, samples, [config.fineTune.share], config.data.seed, 'reference');
    if (!tuning?.length || !guard?.length)
      throw new ConfigError(
        `${samples.length} reference samples in ${new Set(samples.map((i) => data.groups[i] as number)).size} groups are too few to tune on some and judge on others`,
      );
    return { tuning: { data, indices: tuning }, guard: { data, indices: guard } };
  }

  static async create(
    config: JudgingConfig,
    artifact: Artifact,
    reference: { tuning: View; guard: View },
    shared: () => Promise<readonly View[]> = async () => [],
  ): Promise<Judge> {
    const tuner = await Tuner.create(config, artifact);
    const trainer = await createTrainer(artifact, { engine: config.engine, threads: config.threads });
    const evaluator = await Evaluator.create(artifact.model, artifact.layout, config.threads, artifact.info.loss);
    return new Judge(config, artifact, tuner, trainer, evaluator, reference.tuning, reference.guard, shared);
  }

  evaluate(weights: Float32Array): Promise<Evaluation> {
    return this.evaluator.evaluate(weights, this.guard);
  }

  /** The cloud's own difference from a version, trained on its reference samples; undefined without fine-tuning. */
  async ownDifference(base: Float32Array, round: number): Promise<Float32Array | undefined> {
    const tuned = await this.tuner.tune(base, this.tuning, round);
    return tuned?.map((w, i) => w - (base[i] as number));
  }

  /** Whether the model has statistics that `refresh` takes anew. */
  get hasStatistics(): boolean {
    return this.artifact.info.buffers.length > 0;
  }

  /** Takes the statistics of batch normalisation anew: those of an average are off. */
  refresh(weights: Float32Array, round: number): Promise<Float32Array> {
    return refreshStatistics(this.trainer, this.artifact.info, weights, this.tuning, {
      seed: this.config.model.seed + round,
    });
  }

  /** A round's transfer learning: on which samples, and taught by whom, is settled once for all its candidates. */
  async lesson(parts: Parts, round: number): Promise<(weights: Float32Array) => Promise<Float32Array | undefined>> {
    const view = joinViews([this.tuning, ...(await this.shared())]);
    const teaching = await this.#teaching(parts, view);
    return (weights) => this.tuner.tune(weights, view, round, teaching);
  }

  /** Ensemble distillation (FedDF: Lin et al. 2020, arXiv:2006.07242, equation 2): the mean of the edges' outputs, by their shares. */
  async #teaching(parts: Parts, view: View): Promise<Teaching | undefined> {
    const { distill, epochs } = this.config.fineTune;
    if (distill.weight === 0 || epochs === 0) return undefined;
    const teachers = [...parts.edges].sort((a, b) => b.share - a.share).slice(0, distill.teachers);
    const all = teachers.reduce((a, t) => a + t.share, 0);
    if (!(all > 0)) return undefined;
    const logits = new Float32Array(view.indices.length * view.data.classes.length);
    for (const { edge, share } of teachers) {
      const out = await this.evaluator.outputs(await parts.of(edge), view);
      if (!out.every(Number.isFinite)) continue;
      for (const [i, v] of out.entries()) logits[i] = (logits[i] as number) + (share / all) * v;
    }
    return { logits };
  }

  async release(): Promise<void> {
    await this.tuner.release();
    await this.trainer.release();
    await this.evaluator.release();
  }
}
