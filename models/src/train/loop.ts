import type { TrainingInfo } from '../autodiff/info.js';
import type { View } from '../data/dataset.js';
import { ModelError } from '../onnx/model.js';
import { Batches } from './batches.js';
import { decodeCheckpoint, encodeCheckpoint, type Progress, START } from './checkpoint.js';
import type { Schedule, StepExtra, StepResult, TrainOptions, TrainResult } from './types.js';

/** What an engine offers to the training loop that all engines share. */
export interface Engine {
  readonly info: TrainingInfo;
  step(
    x: Float32Array,
    y: Int32Array | Float32Array,
    weight: Float32Array,
    learningRate: number,
    momentum: number,
    extra: StepExtra,
  ): Promise<StepResult>;
  /** Parameters, buffers, optimiser state and FedProx base by name, for a checkpoint. */
  capture(): ReadonlyMap<string, Float32Array>;
  /** Takes back what `capture` gave; the caller has checked names and lengths. */
  restore(tensors: ReadonlyMap<string, Float32Array>): void;
  /** FedProx pulls to the weights of this moment. */
  holdBase(): void;
}

/**
 * Trains over epochs of seeded batches, from the start or from a checkpoint.
 * @throws ModelError where an option or a checkpoint does not fit the model or the samples, or the loss is not finite.
 * @throws the reason of `options.signal` once that is aborted.
 */
export async function runTraining(engine: Engine, view: View, options: TrainOptions): Promise<TrainResult> {
  const { info } = engine;
  if (options.mu && !info.proximal)
    throw new ModelError('ECAVG_MODEL_OPTION', 'mu needs a training graph built with proximal: true');
  const batches = new Batches(view, info, options.seed);
  const started = performance.now();
  engine.holdBase();
  const p = options.resume ? resume(engine, options.resume, view, options) : { ...START };
  const limit = options.maxSteps ?? Number.POSITIVE_INFINITY;
  let order = batches.order(p.epoch);
  const total = Math.min(limit, options.epochs * batches.perEpoch);
  const overtime = (): boolean =>
    performance.now() - started >= 1000 * (options.maxSeconds ?? Number.POSITIVE_INFINITY);
  while (p.epoch < options.epochs && p.steps < limit && !(p.steps > 0 && overtime())) {
    options.signal?.throwIfAborted();
    if (p.position === 0) Object.assign(p, { lossSum: 0, correct: 0, seen: 0 });
    const learningRate = options.learningRate * scheduled(options.schedule ?? 'constant', p.steps / total);
    await trainBatch(engine, batches, order, p, { ...options, learningRate });
    p.steps++;
    p.position++;
    if (p.position === batches.perEpoch) {
      p.position = 0;
      p.epoch++;
      order = batches.order(p.epoch);
      if (options.onEpoch && !(await options.onEpoch(p.epoch))) break;
    }
    if (options.onStep) await options.onStep();
    const { checkpoint } = options;
    if (checkpoint && p.steps % checkpoint.everySteps === 0) {
      const { seed } = options;
      const tensors = engine.capture();
      await checkpoint.save(encodeCheckpoint({ seed, samples: view.indices.length, progress: p, tensors }));
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const seen = Math.max(1, p.seen);
  return { loss: p.lossSum / seen, accuracy: p.correct / seen, steps: p.steps, seconds };
}

const FACTORS: Readonly<Record<Schedule, (part: number) => number>> = {
  constant: () => 1,
  linear: (part) => 1 - part,
  cosine: (part) => (1 + Math.cos(Math.PI * part)) / 2,
};

/** Factor of the learning rate at a part of the run, in [0, 1). */
export const scheduled = (schedule: Schedule, part: number): number => FACTORS[schedule](part);

async function trainBatch(
  engine: Engine,
  batches: Batches,
  order: Int32Array,
  p: Progress,
  { learningRate, momentum, mu = 0 }: TrainOptions,
): Promise<void> {
  const { x, y, weight, count } = batches.at(order, p.position);
  const masks = batches.masks(p.steps);
  const { loss, correct } = await engine.step(x, y, weight, learningRate, momentum, { mu, masks });
  if (!Number.isFinite(loss)) {
    throw new ModelError(
      'ECAVG_TRAINING_DIVERGED',
      `training diverged at step ${p.steps}: the loss is ${loss}; lower the learning rate (${learningRate})`,
    );
  }
  p.lossSum += loss * count;
  p.correct += correct;
  p.seen += count;
}

function resume(engine: Engine, bytes: Uint8Array, view: View, options: TrainOptions): Progress {
  const { seed, samples, progress, tensors } = decodeCheckpoint(bytes);
  if (seed !== options.seed || samples !== view.indices.length) {
    throw new ModelError(
      'ECAVG_MODEL_OPTION',
      `the checkpoint is of seed ${seed} on ${samples} samples; this run has seed ${options.seed} on ${view.indices.length}`,
    );
  }
  for (const [name, old] of engine.capture()) {
    if (tensors.get(name)?.length !== old.length) {
      throw new ModelError(
        'ECAVG_MODEL_SHAPE',
        `the checkpoint is of another model: tensor ${JSON.stringify(name)} does not fit`,
      );
    }
  }
  engine.restore(tensors);
  return { ...progress };
}
