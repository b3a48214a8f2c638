import {
  type Artifact,
  buildTrainingGraph,
  createTrainer,
  type Evaluation,
  Evaluator,
  ModelError,
  Random,
  serializeModel,
  type Trainer,
  trainingOptions,
  type View,
  withTargets,
} from '@ecavg/models';
import type { Layout } from '@ecavg/protocol';
import type { EngineConfig, FineTuneConfig, Seeded } from './config.js';

interface Options extends EngineConfig {
  readonly fineTune: FineTuneConfig;
}

interface FineTunerParts {
  readonly options: Options;
  readonly layout: Layout;
  readonly trainer: Trainer;
  readonly evaluator: Evaluator;
  readonly seed: number;
}

/** Rows for the samples of a view, in its order: mean outputs of the teachers. */
export interface TeacherOutputs {
  /** `view.indices.length * classes` values. */
  readonly logits: Float32Array;
}

/** Transfer learning of an average on the cloud's samples, with the means of `fineTune`. */
export class FineTuner {
  private constructor(private readonly parts: FineTunerParts) {}

  /** @throws ModelError where a pattern of `fineTune.freeze` names no parameter, or the engine can't train the model. */
  static async create(config: Options & Seeded, artifact: Artifact): Promise<FineTuner> {
    const { freeze, l2, distill } = config.fineTune;
    let train = artifact.train;
    if (freeze.length > 0 || l2 > 0 || distill.weight > 0) {
      const graph = await buildTrainingGraph(artifact.model, {
        ...trainingOptions(artifact.info),
        held: freeze,
        proximal: l2 > 0,
        ...(distill.weight > 0 && { loss: 'soft-cross-entropy' }),
      });
      train = serializeModel(graph);
    }
    const { engine, threads } = config;
    const trainer = await createTrainer({ infer: artifact.infer, train }, { engine, threads });
    const evaluator = await Evaluator.create(artifact.model, artifact.layout, threads, artifact.info.loss);
    return new FineTuner({ options: config, layout: artifact.layout, trainer, evaluator, seed: config.model.seed });
  }

  /** The trainer for weights as they are, in the order of the artifact's layout. */
  get #order(): { to(weights: Float32Array): Float32Array; from(weights: Float32Array): Float32Array } {
    const own = new Map(this.parts.trainer.layout.tensors.map((t) => [t.name, t.offset]));
    const move = (weights: Float32Array, inward: boolean): Float32Array => {
      const out = new Float32Array(weights.length);
      for (const { name, offset, length } of this.parts.layout.tensors) {
        const mine = own.get(name) as number;
        const [from, to] = inward ? [offset, mine] : [mine, offset];
        out.set(weights.subarray(from, from + length), to);
      }
      return out;
    };
    return { to: (w) => move(w, true), from: (w) => move(w, false) };
  }

  /**
   * Fine-tunes on a view. With early stopping a part of it is held back, and the weights after the epoch with the least
   * loss there are taken, the average itself included.
   * @param weights flat, `layout.total`. @returns undefined where it is off, or diverged.
   */
  async tune(
    weights: Float32Array,
    view: View,
    round: number,
    teachers?: TeacherOutputs,
  ): Promise<Float32Array | undefined> {
    const { fineTune } = this.parts.options;
    if (fineTune.epochs === 0) return undefined;
    const { to, from } = this.#order;
    const targets = fineTune.distill.weight > 0 ? this.#targets(view, teachers) : view;
    const held = this.#holdBack(targets, round);
    this.parts.trainer.setWeights(to(weights));
    const { patience } = fineTune.earlyStop;
    let best: { weights: Float32Array; score: Evaluation } | undefined;
    let worse = 0;
    const keepBest = async (): Promise<boolean> => {
      const now = from(this.parts.trainer.getWeights());
      const score = await this.parts.evaluator.evaluate(now, held.back);
      if (!best || score.loss < best.score.loss) {
        best = { weights: now, score };
        worse = 0;
      } else worse++;
      return worse < patience;
    };
    try {
      if (patience > 0) await keepBest();
      await this.parts.trainer.train(held.rest, {
        epochs: fineTune.epochs,
        learningRate: fineTune.learningRate,
        momentum: fineTune.momentum,
        schedule: fineTune.schedule,
        seed: this.parts.seed + round,
        ...(fineTune.l2 > 0 && { mu: fineTune.l2 }),
        ...(fineTune.maxSteps > 0 && { maxSteps: fineTune.maxSteps }),
        ...(fineTune.maxSeconds > 0 && { maxSeconds: fineTune.maxSeconds }),
        ...(patience > 0 && { onEpoch: keepBest }),
      });
    } catch (error) {
      // Weights that can't be tuned (an update that blew them up) are one candidate less, not the end of the round.
      if (error instanceof ModelError) return undefined;
      throw error;
    }
    return best?.weights ?? from(this.parts.trainer.getWeights());
  }

  #holdBack(view: View, round: number): { rest: View; back: View } {
    const { patience, share } = this.parts.options.fineTune.earlyStop;
    if (patience === 0) return { rest: view, back: view };
    const order = new Random(this.parts.seed + round, 'early-stop').shuffle(view.indices.slice());
    const cut = Math.min(order.length - 1, Math.max(1, Math.round(share * order.length)));
    return { back: { ...view, indices: order.slice(0, cut) }, rest: { ...view, indices: order.slice(cut) } };
  }

  /** (1 - weight) label + weight softmax(mean of the teachers' outputs). */
  #targets(view: View, teachers: TeacherOutputs | undefined): View {
    const { data, indices } = view;
    const classes = data.classes.length;
    const { weight } = this.parts.options.fineTune.distill;
    const rows = new Float32Array(indices.length * classes);
    for (const [n, index] of indices.entries()) {
      const row = rows.subarray(n * classes, (n + 1) * classes);
      if (teachers) softmax(teachers.logits.subarray(n * classes, (n + 1) * classes), row);
      const share = teachers ? weight : 0;
      const label = data.labels[index] as number;
      for (let c = 0; c < classes; c++) row[c] = share * (row[c] as number) + (c === label ? 1 - share : 0);
    }
    return withTargets(view, rows);
  }

  async release(): Promise<void> {
    await this.parts.trainer.release();
    await this.parts.evaluator.release();
  }
}

function softmax(logits: Float32Array, out: Float32Array): void {
  const max = Math.max(...logits);
  let sum = 0;
  for (const [i, v] of logits.entries()) {
    out[i] = Math.exp(v - max);
    sum += out[i] as number;
  }
  for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) / sum;
}
