import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Artifact,
  createTrainer,
  type DataSet,
  Evaluator,
  prepareArtifact,
  refreshStatistics,
  type Trainer,
  type View,
  zooModel,
} from '@ecavg/models';
import { readIfThere, writeDurable } from '@ecavg/runtime';

export interface TrainingPlan {
  /** What is trained, for people. */
  readonly what: string;
  readonly start: Float32Array;
  readonly view: View;
  readonly epochs: number;
  readonly learningRate: number;
  readonly seed: number;
}

const SAVES_PER_EPOCH = 4;
const SAY_MS = 5000;
/** Steps and seconds so far, as two float64, before what a file keeps. */
const HEAD = 16;

function pack(steps: number, seconds: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD + body.length);
  new Float64Array(bytes.buffer, 0, 2).set([steps, seconds]);
  bytes.set(body, HEAD);
  return bytes;
}

function unpack(bytes: Uint8Array): { steps: number; seconds: number; body: Uint8Array } {
  const own = new Uint8Array(bytes);
  const [steps = 0, seconds = 0] = new Float64Array(own.buffer, 0, 2);
  return { steps, seconds, body: own.subarray(HEAD) };
}

const epochText = (epochs: number): string => String(Math.round(epochs * 100) / 100);

export interface LabOptions {
  /** Where trained weights are kept. */
  readonly folder: string;
  readonly batch: number;
  readonly threads: number;
  /** Takes a line for the person who waits. */
  readonly say: (line: string) => void;
}

/**
 * Trains and evaluates one architecture. What was trained is kept in a folder under a hash of everything that it
 * depends on, with a checkpoint four times an epoch: a run that was interrupted goes on where it stopped.
 */
export class Lab {
  /** Seconds of training, with those of earlier runs that this one goes on with. */
  seconds = 0;

  private constructor(
    readonly artifact: Artifact,
    private readonly trainer: Trainer,
    private readonly evaluator: Evaluator,
    private readonly options: LabOptions,
  ) {}

  static async open(model: string, data: DataSet, options: LabOptions): Promise<Lab> {
    const zoo = zooModel(model, { input: data.shape, classes: data.classes.length, seed: 0 });
    const { batch, threads } = options;
    const artifact = await prepareArtifact(zoo, { loss: 'cross-entropy', batch, sample: data.shape });
    const trainer = await createTrainer(artifact, { engine: 'ort', threads });
    const evaluator = await Evaluator.create(artifact.model, artifact.layout, threads, artifact.info.loss);
    return new Lab(artifact, trainer, evaluator, options);
  }

  async accuracy(weights: Float32Array, view: View): Promise<number> {
    return (await this.evaluator.evaluate(weights, view)).accuracy;
  }

  async train(plan: TrainingPlan): Promise<Float32Array> {
    const { start, view, epochs, learningRate, seed } = plan;
    const settings = JSON.stringify([
      this.artifact.layout.hash,
      this.options.batch,
      view.data.name,
      epochs,
      learningRate,
      seed,
    ]);
    const hash = createHash('sha256').update(settings);
    for (const part of [start, view.indices])
      hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    const file = join(this.options.folder, hash.digest('hex').slice(0, 24));
    const done = await readIfThere(`${file}.weights`);
    if (done?.length === HEAD + start.length * 4) {
      const kept = unpack(done);
      this.seconds += kept.seconds;
      this.options.say(`${plan.what}: taken from an earlier run`);
      return new Float32Array(kept.body.slice().buffer);
    }
    const steps = Math.ceil(view.indices.length / this.options.batch);
    const everySteps = Math.ceil(steps / SAVES_PER_EPOCH);
    const kept = await readIfThere(`${file}.checkpoint`);
    const resume = kept && kept.length > HEAD ? unpack(kept) : undefined;
    if (resume) this.options.say(`${plan.what}: going on at ${epochText(resume.steps / steps)} of ${epochs} epochs`);
    const began = performance.now();
    const elapsed = (): number => (resume?.seconds ?? 0) + (performance.now() - began) / 1000;
    let step = resume?.steps ?? 0;
    let said = began;
    this.trainer.setWeights(start);
    await this.trainer.train(view, {
      epochs,
      learningRate,
      momentum: 0.9,
      seed,
      ...(resume && { resume: resume.body }),
      checkpoint: {
        everySteps,
        save: async (bytes) => {
          step += everySteps;
          await writeDurable(`${file}.checkpoint`, pack(step, elapsed(), bytes));
          if (performance.now() - said < SAY_MS) return;
          said = performance.now();
          this.options.say(`${plan.what}: ${epochText(step / steps)} of ${epochs} epochs, ${elapsed().toFixed(0)} s`);
        },
      },
    });
    const seconds = elapsed();
    this.options.say(`${plan.what}: ${epochs} epochs done, ${seconds.toFixed(1)} s`);
    const weights = this.trainer.getWeights();
    const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
    await writeDurable(`${file}.weights`, pack(epochs * steps, seconds, bytes));
    await rm(`${file}.checkpoint`, { force: true });
    this.seconds += seconds;
    return weights;
  }

  /** Weights with batch normalisation's statistics taken anew; the same where the model has none. */
  refresh(weights: Float32Array, view: View, seed: number): Promise<Float32Array> {
    return refreshStatistics(this.trainer, this.artifact.info, weights, view, { seed });
  }

  async release(): Promise<void> {
    await this.trainer.release();
    await this.evaluator.release();
  }
}
