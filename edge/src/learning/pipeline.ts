import type { Artifact, Slice, Trainer, TrainResult, View } from '@ecavg/models';
import type { RoundMessage } from '@ecavg/protocol';
import type { Memory, OutboxEntry } from '../uplink/edgeStore.js';
import type { Coding } from '../uplink/encodeUpdateEntry.js';
import type { Values } from '../uplink/reports.js';
import type { LearningConfig } from './config.js';

// How samples become an update, stage by stage. A stage is a function of what the one before gave; what else it needs it gets as
// functions, so that it knows no class of another room. A crash before the outbox has the update loses it: the round is then trained anew.

/** What a round trains from. */
export interface Training {
  /** The round's base. */
  readonly artifact: Artifact;
  readonly round: RoundMessage;
  /** Aborts when the round is over. */
  readonly signal: AbortSignal;
}

/** Accuracies in [0, 1] of weights on this gateway's samples. */
interface Measured {
  readonly validation: number;
  /** Undefined where this gateway has no test samples. */
  readonly test: number | undefined;
}

export interface BatchTools {
  /** The weights that this gateway trains, out of those of a version. */
  part(artifact: Artifact): Float32Array;
  /** Weights with the tensors that never leave this gateway. */
  localised(weights: Float32Array): Float32Array;
  measure(weights: Float32Array): Promise<Measured>;
  /** Keeps gateways from visiting their samples in the same order. */
  readonly seed: number;
  /** The training samples as a round is to see them. */
  view(seed: number): View;
}

/** What the batches are drawn from, and where training starts. */
export interface Batches extends Training {
  /** Flat weights of the base, as far as this gateway trains them: what the update is a difference from. */
  readonly base: Float32Array;
  /** The base with this gateway's own tensors: what training starts from. */
  readonly start: Float32Array;
  readonly before: Measured;
  /** Of the order in which samples are visited. */
  readonly seed: number;
  readonly view: View;
}

/** 1. Settles which samples the batches are drawn from, in which order, and which weights they meet. */
export async function batch(training: Training, tools: BatchTools): Promise<Batches> {
  const base = tools.part(training.artifact);
  const start = tools.localised(base);
  const before = await tools.measure(start);
  const seed = training.round.hyper.seed + tools.seed;
  return { ...training, base, start, before, seed, view: tools.view(seed) };
}

export interface StepTools extends Pick<BatchTools, 'measure'> {
  readonly trainer: Pick<Trainer, 'setWeights' | 'getWeights' | 'train'>;
  /** Waits until training may begin. */
  begin(signal: AbortSignal): Promise<void>;
  /** Waits after each step as long as the hardware wants it. */
  rest(signal: AbortSignal): Promise<void>;
  /** Puts the weights into service here. */
  serve(weights: Float32Array): void;
}

/** What the steps made of the start. */
export interface Stepped extends Batches {
  readonly trained: Float32Array;
  readonly result: TrainResult;
  readonly after: Measured;
}

/** 2. Steps through the batches, as often as the round says. */
export async function step(batches: Batches, tools: StepTools): Promise<Stepped> {
  const { round, start, seed, view, signal } = batches;
  const { trainer } = tools;
  trainer.setWeights(start);
  await tools.begin(signal);
  const result = await trainer.train(view, { ...round.hyper, seed, signal, onStep: () => tools.rest(signal) });
  const trained = trainer.getWeights();
  const after = await tools.measure(trained);
  tools.serve(trained);
  return { ...batches, trained, result, after };
}

export interface DifferenceTools {
  /** Sets to 0 what never leaves this gateway. */
  exclude(delta: Float32Array): void;
  /** Keeps on disk what never leaves this gateway. */
  keep(weights: Float32Array): Promise<void>;
}

/** What the steps changed. */
export interface Difference extends Stepped {
  /** Flat, trained weights less the base; 0 where a tensor stays here. */
  readonly delta: Float32Array;
}

/** 3. Takes the base off, and keeps here what is not shared. */
export async function difference(stepped: Stepped, tools: DifferenceTools): Promise<Difference> {
  const { trained, base } = stepped;
  const delta = trained.map((w, i) => w - (base[i] as number));
  tools.exclude(delta);
  await tools.keep(trained);
  return { ...stepped, delta };
}

export interface UpdateTools {
  readonly names: Pick<LearningConfig, 'fleet' | 'edge' | 'model'>;
  readonly layout: Coding['layout'];
  /** The part of the model that this gateway trains; undefined: all of it. */
  readonly slice: Slice | undefined;
  /** Samples of each class, as far as this site says; undefined where it does not. */
  labels(view: View): number[] | undefined;
  /** What earlier updates left, for a model of `length` values. */
  memory(length: number): Promise<Memory>;
  /** Bytes that the link carries in time; undefined where it was not measured. */
  budget(): number | undefined;
  /** Codes and signs. */
  encode(coding: Omit<Coding, 'signer'>): OutboxEntry;
}

/** An update that is ready for the outbox, and the figures of its training. */
export interface Update {
  readonly entry: OutboxEntry;
  readonly values: Values;
}

/** 4. Codes the difference with what earlier coding left, and signs it. */
export async function update(changed: Difference, tools: UpdateTools): Promise<Update> {
  const { artifact, round, view, result, delta } = changed;
  const { layout, slice } = tools;
  const values = figures(changed);
  const labels = tools.labels(view);
  const header = {
    ...tools.names,
    round: round.round,
    base: artifact.sha256,
    codec: round.codec.name,
    layout: layout.hash,
    samples: view.indices.length,
    steps: result.steps,
    createdAt: Date.now(),
    metrics: values,
    ...(slice && { width: slice.width }),
    ...(labels && { labels }),
  };
  const memory = await tools.memory(layout.total);
  const { options } = round.codec;
  const entry = tools.encode({ header, delta, memory, layout, options, budget: tools.budget() });
  return { entry, values: { ...values, bytes: entry.blob.length, bytesFloat32: artifact.layout.total * 4 } };
}

function figures({ view, result, before, after }: Difference): Values {
  return {
    samples: view.indices.length,
    steps: result.steps,
    seconds: result.seconds,
    loss: result.loss,
    valBefore: before.validation,
    valAfter: after.validation,
    ...(after.test !== undefined && { testAfter: after.test }),
  };
}

export interface OutboxTools {
  /** Writes the update to disk, and sends it until its receipt. */
  put(entry: OutboxEntry): Promise<void>;
  /** The round counts as done. */
  done(): void;
  /** Tells logs and cloud. */
  tell(values: Values): Promise<void>;
}

/** 5. Hands the update to the outbox; from there on it outlives a crash. */
export async function outbox({ entry, values }: Update, tools: OutboxTools): Promise<void> {
  await tools.put(entry);
  tools.done();
  await tools.tell(values);
}

export interface TrainingTools extends BatchTools, StepTools, DifferenceTools, UpdateTools {}

/** Stages 1 to 4: one round of local training. */
export async function trainRound(training: Training, tools: TrainingTools): Promise<Update> {
  const batches = await batch(training, tools);
  const stepped = await step(batches, tools);
  const changed = await difference(stepped, tools);
  return update(changed, tools);
}
