// Room learning: local training in rounds, and what becomes of a version that the cloud publishes.
// May import power, uplink and samples.
import { randomInt } from 'node:crypto';
import {
  type Artifact,
  createTrainer,
  Evaluator,
  gather,
  labelHistogram,
  ModelError,
  type Slice,
  sliceArtifact,
  type Trainer,
  updateArtifact,
  type View,
} from '@ecavg/models';
import { type Layout, type RoundMessage, type Signer, sha256Hex } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { Governor } from '../power/governor.js';
import type { LocalData } from '../samples/localData.js';
import type { EdgeStore, Memory, OutboxEntry } from '../uplink/edgeStore.js';
import { encodeEntry } from '../uplink/encodeUpdateEntry.js';
import type { Values } from '../uplink/reports.js';
import { type Chosen, chooseModel } from './adoption.js';
import type { LearningConfig } from './config.js';
import { LocalTensors } from './localTensors.js';
import type { Servable } from './servable.js';

interface LearnerParts {
  readonly config: LearningConfig;
  readonly data: LocalData;
  readonly store: EdgeStore;
  readonly signer: Signer;
  readonly governor: Governor;
  readonly log: Logger;
}

/** What a round of local training needs. */
interface Training {
  /** The round's base. */
  readonly artifact: Artifact;
  readonly round: RoundMessage;
  /** What earlier updates left, for a model of `length` values. */
  memory(length: number): Promise<Memory>;
  /** Bytes that the link carries in time; undefined where it was not measured. */
  budget(): number | undefined;
  /** Aborts when the round is over. */
  readonly signal: AbortSignal;
}

/** What one architecture needs here. */
interface Engines {
  readonly trainer: Trainer;
  readonly evaluator: Evaluator;
  /** The part of the model that this gateway trains; undefined: all of it. */
  readonly slice: Slice | undefined;
  readonly local: LocalTensors;
  /** The model that is trained and served here. */
  readonly mine: Artifact;
  /** sha256 of the training graph that they were made for. */
  readonly graph: string;
}

/** Trains and judges models on this gateway's data. Holds the model that the gateway serves. */
export class Learner {
  #engines: Engines | undefined;
  /** Weights in service: the adopted version, the model trained here, or a mixture. */
  #serving: Float32Array | undefined;
  /** The version considered last, with this gateway's own tensors. */
  #version: Float32Array | undefined;

  constructor(private readonly parts: LearnerParts) {}

  /** Compares a new version with the model in service, and takes it, a mixture, or neither. */
  async consider(artifact: Artifact, signal?: AbortSignal): Promise<{ adopted: boolean; values: Values }> {
    const engines = await this.#open(artifact);
    const arrived = this.#arrived(artifact, engines);
    if (this.parts.data.validation.indices.length === 0) return this.#unjudged(arrived);
    const [after, testAfter] = await this.#measure(engines, arrived);
    const previous = this.#version && (await this.#measure(engines, this.#version))[0];
    const mine = this.#serving;
    const before = mine && (await this.#measure(engines, mine));
    const chosen = await chooseModel(this.parts.config.adopt, arrived, after, mine, before?.[0], {
      accuracy: async (w) => (await this.#measure(engines, w))[0],
      tune: (w) => this.#tune(engines, w, signal),
    });
    this.#serving = chosen.weights;
    this.#version = arrived;
    const testServing = await this.#test(engines, chosen.weights);
    return {
      adopted: chosen.adopted,
      values: {
        ...named('valBefore', before?.[0]),
        valAfter: after,
        ...named('valPrevious', previous),
        ...servingValues(chosen),
        ...named('testBefore', before?.[1]),
        ...named('testAfter', testAfter),
        ...named('testServing', testServing),
      },
    };
  }

  /** Without samples to judge by, what the cloud says is taken. */
  #unjudged(arrived: Float32Array): { adopted: boolean; values: Values } {
    this.#serving = arrived;
    this.#version = arrived;
    return { adopted: true, values: {} };
  }

  /** One round of local training from the round's base: the update, ready for the outbox. */
  async train({ artifact, round, memory, budget, signal }: Training): Promise<{ entry: OutboxEntry; values: Values }> {
    const { config, data, governor, signer } = this.parts;
    const engines = await this.#open(artifact);
    const { trainer, local, slice } = engines;
    const { layout } = trainer;
    const base = slice ? gather(artifact.weights, slice) : artifact.weights;
    const start = local.apply(base);
    const [valBefore] = await this.#measure(engines, start);
    trainer.setWeights(start);
    const seed = round.hyper.seed + data.seed;
    const view = data.trainingView(seed);
    await governor.begin(signal);
    const onStep = (): Promise<void> => governor.step(signal);
    const result = await trainer.train(view, { ...round.hyper, seed, signal, onStep });
    const trained = trainer.getWeights();
    const [valAfter, testAfter] = await this.#measure(engines, trained);
    this.#serving = trained;
    const delta = trained.map((w, i) => w - (base[i] as number));
    local.exclude(delta);
    await local.keep(trained);
    const values: Values = {
      samples: view.indices.length,
      steps: result.steps,
      seconds: result.seconds,
      loss: result.loss,
      valBefore,
      valAfter,
      ...named('testAfter', testAfter),
    };
    const header = {
      fleet: config.fleet,
      edge: config.edge,
      model: config.model,
      round: round.round,
      base: artifact.sha256,
      codec: round.codec.name,
      layout: layout.hash,
      samples: view.indices.length,
      steps: result.steps,
      createdAt: Date.now(),
      metrics: values,
      ...(slice && { width: slice.width }),
      ...(config.share.labels && { labels: noisyHistogram(view, config.share.labelNoise) }),
    };
    const carried = await memory(layout.total);
    const entry = encodeEntry({
      header,
      delta,
      memory: carried,
      layout,
      options: round.codec.options,
      budget: budget(),
      signer,
    });
    return { entry, values: { ...values, bytes: entry.blob.length, bytesFloat32: artifact.layout.total * 4 } };
  }

  /** The model in service as a file; undefined before the first version. @param version it was made from. */
  servable(version: number): Servable | undefined {
    const weights = this.#serving;
    if (!weights || !this.#engines) return undefined;
    const { mine } = this.#engines;
    const { infer: onnx, info } = updateArtifact(mine, weights);
    const own = weights !== this.#version;
    return { onnx, loss: info.loss, shape: info.input.shape.slice(1), version, own };
  }

  /** Of the updates that are made here; undefined before the first version. */
  get layout(): Layout | undefined {
    return this.#engines?.trainer.layout;
  }

  async release(): Promise<void> {
    await this.#engines?.trainer.release();
    await this.#engines?.evaluator.release();
    this.#engines = undefined;
  }

  /** A version as this gateway uses it: its slice, with its own tensors. */
  #arrived({ weights }: Artifact, { slice, local }: Engines): Float32Array {
    return local.apply(slice ? gather(weights, slice) : weights);
  }

  async #open(artifact: Artifact): Promise<Engines> {
    const graph = sha256Hex(artifact.train);
    if (this.#engines?.graph === graph) return this.#engines;
    await this.release();
    // A model of another architecture can't be compared with the one in service.
    this.#serving = undefined;
    this.#version = undefined;
    const { engine, threads, width } = this.parts.config.train;
    const sliced = width < 1 ? await sliceArtifact(artifact, width) : undefined;
    const mine = sliced?.artifact ?? artifact;
    const local = await LocalTensors.open(this.parts.store, mine, this.parts.config.train);
    const { localBatchNorm, localHead, localTensors } = this.parts.config.train;
    if (local.empty && (localBatchNorm || localHead || localTensors.length > 0))
      this.parts.log.warn('train.local... has no effect: the model has no such tensors');
    this.#engines = {
      trainer: await createTrainer(mine, { engine, threads }),
      evaluator: await Evaluator.create(mine.model, mine.layout, threads, mine.info.loss),
      slice: sliced?.slice,
      local,
      mine,
      graph,
    };
    return this.#engines;
  }

  /** Local training after adoption; undefined where it is off, or diverged. */
  async #tune({ trainer }: Engines, weights: Float32Array, signal?: AbortSignal): Promise<Float32Array | undefined> {
    const { epochs, ...options } = this.parts.config.adopt.fineTune;
    if (epochs === 0) return undefined;
    trainer.setWeights(weights);
    try {
      const run = { epochs, ...options, seed: this.parts.data.seed, ...(signal && { signal }) };
      await trainer.train(this.parts.data.train, run);
    } catch (error) {
      if (error instanceof ModelError) return undefined;
      throw error;
    }
    return trainer.getWeights();
  }

  async #measure(engines: Engines, weights: Float32Array): Promise<[number, number | undefined]> {
    const validation = await engines.evaluator.evaluate(weights, this.parts.data.validation);
    return [validation.accuracy, await this.#test(engines, weights)];
  }

  async #test({ evaluator }: Engines, weights: Float32Array): Promise<number | undefined> {
    return this.parts.data.test && (await evaluator.evaluate(weights, this.parts.data.test)).accuracy;
  }
}

function servingValues({ accuracy, lambda, tuned }: Chosen): Values {
  return { valServing: accuracy, ...named('lambda', lambda), ...named('valTuned', tuned) };
}

function named(name: string, value: number | undefined): Values {
  return value === undefined ? {} : { [name]: value };
}

/** Samples of each class with Laplace noise of this scale, never below 0. Drawn anew each time, and not from a seed. */
export function noisyHistogram(view: View, scale: number): number[] {
  return labelHistogram(view).map((count) => Math.max(0, count + (scale > 0 ? laplace(scale) : 0)));
}

/** By inversion of the distribution function; u in (-1/2, 1/2] from the system's randomness. */
function laplace(scale: number): number {
  const u = (randomInt(2 ** 47) + 1) / 2 ** 47 - 0.5;
  return -scale * Math.sign(u) * Math.log(Math.max(Number.MIN_VALUE, 1 - 2 * Math.abs(u)));
}
