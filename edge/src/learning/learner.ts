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
import { type Layout, type Signer, sha256Hex } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { Governor } from '../power/governor.js';
import type { LocalData } from '../samples/localData.js';
import type { EdgeStore } from '../uplink/edgeStore.js';
import { encodeEntry } from '../uplink/encodeUpdateEntry.js';
import type { Values } from '../uplink/reports.js';
import { type Chosen, chooseModel } from './adoption.js';
import type { LearningConfig } from './config.js';
import { LocalTensors } from './localTensors.js';
import { type Training, type TrainingTools, trainRound, type Update, type UpdateTools } from './pipeline.js';
import type { Servable } from './servable.js';

interface LearnerParts {
  readonly config: LearningConfig;
  readonly data: LocalData;
  readonly store: EdgeStore;
  readonly signer: Signer;
  readonly governor: Governor;
  readonly log: Logger;
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

/** How far this gateway has come with the architecture of the newest version. */
type State =
  /** No version came yet, or the engines are released. */
  | { readonly kind: 'closed' }
  /** No model is in service. */
  | { readonly kind: 'opened'; readonly engines: Engines }
  /** Weights that were trained here are in service; no version was considered. */
  | { readonly kind: 'trained'; readonly engines: Engines; readonly serving: Float32Array }
  /** A version was considered: `version` is it, with this gateway's own tensors; it, a mixture, or what was trained here is in service. */
  | {
      readonly kind: 'considered';
      readonly engines: Engines;
      readonly serving: Float32Array;
      readonly version: Float32Array;
    };

/** Trains and judges models on this gateway's data. Holds the model that the gateway serves. */
export class Learner {
  #state: State = { kind: 'closed' };

  constructor(private readonly parts: LearnerParts) {}

  /** Compares a new version with the model in service, and takes it, a mixture, or neither. */
  async consider(artifact: Artifact, signal?: AbortSignal): Promise<{ adopted: boolean; values: Values }> {
    const engines = await this.#open(artifact);
    // As this gateway uses it: its slice, with its own tensors.
    const arrived = engines.local.apply(part(artifact, engines.slice));
    const { serving, version } = held(this.#state);
    if (this.parts.data.validation.indices.length === 0) {
      // Without samples to judge by, what the cloud says is taken.
      this.#hold(arrived, arrived);
      return { adopted: true, values: {} };
    }
    const [after, testAfter] = await this.#measure(engines, arrived);
    const previous = version && (await this.#measure(engines, version))[0];
    const before = serving && (await this.#measure(engines, serving));
    const chosen = await chooseModel(this.parts.config.adopt, arrived, after, serving, before?.[0], {
      accuracy: async (w) => (await this.#measure(engines, w))[0],
      tune: (w) => this.#tune(engines, w, signal),
    });
    this.#hold(chosen.weights, arrived);
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

  /** One round of local training from the round's base: the update, ready for the outbox. */
  async train({ memory, budget, ...training }: Training & Pick<UpdateTools, 'memory' | 'budget'>): Promise<Update> {
    const engines = await this.#open(training.artifact);
    return trainRound(training, { ...this.#tools(engines), memory, budget });
  }

  /** The model in service as a file; undefined before the first version. @param version it was made from. */
  servable(version: number): Servable | undefined {
    const state = this.#state;
    if (state.kind === 'closed' || state.kind === 'opened') return undefined;
    const { infer: onnx, info } = updateArtifact(state.engines.mine, state.serving);
    const own = state.serving !== held(state).version;
    return { onnx, loss: info.loss, shape: info.input.shape.slice(1), version, own };
  }

  /** Of the updates that are made here; undefined before the first version. */
  get layout(): Layout | undefined {
    return this.#state.kind === 'closed' ? undefined : this.#state.engines.trainer.layout;
  }

  async release(): Promise<void> {
    if (this.#state.kind === 'closed') return;
    const { trainer, evaluator } = this.#state.engines;
    await trainer.release();
    await evaluator.release();
    this.#state = { kind: 'closed' };
  }

  /** The stages of a round of local training get what they need. */
  #tools(engines: Engines): Omit<TrainingTools, 'memory' | 'budget'> {
    const { config, data, governor, signer } = this.parts;
    const { trainer, local, slice } = engines;
    const { fleet, edge, model, share } = config;
    return {
      part: (artifact) => part(artifact, slice),
      localised: (weights) => local.apply(weights),
      measure: async (weights) => {
        const [validation, test] = await this.#measure(engines, weights);
        return { validation, test };
      },
      seed: data.seed,
      view: (seed) => data.trainingView(seed),
      trainer,
      begin: (signal) => governor.begin(signal),
      rest: (signal) => governor.step(signal),
      serve: (weights) => this.#hold(weights),
      exclude: (delta) => local.exclude(delta),
      keep: (weights) => local.keep(weights),
      names: { fleet, edge, model },
      layout: trainer.layout,
      slice,
      labels: (view) => (share.labels ? noisyHistogram(view, share.labelNoise) : undefined),
      encode: (coding) => encodeEntry({ ...coding, signer }),
    };
  }

  /** Puts weights into service. @param version the version considered; default: the one before. */
  #hold(serving: Float32Array, version = held(this.#state).version): void {
    const state = this.#state;
    if (state.kind === 'closed') return;
    const { engines } = state;
    this.#state = version ? { kind: 'considered', engines, serving, version } : { kind: 'trained', engines, serving };
  }

  async #open(artifact: Artifact): Promise<Engines> {
    const graph = sha256Hex(artifact.train);
    if (this.#state.kind !== 'closed' && this.#state.engines.graph === graph) return this.#state.engines;
    // A model of another architecture can't be compared with the one in service.
    await this.release();
    const { engine, threads, width } = this.parts.config.train;
    const sliced = width < 1 ? await sliceArtifact(artifact, width) : undefined;
    const mine = sliced?.artifact ?? artifact;
    const local = await LocalTensors.open(this.parts.store, mine, this.parts.config.train);
    const { localBatchNorm, localHead, localTensors } = this.parts.config.train;
    if (local.empty && (localBatchNorm || localHead || localTensors.length > 0))
      this.parts.log.warn('train.local... has no effect: the model has no such tensors');
    const engines: Engines = {
      trainer: await createTrainer(mine, { engine, threads }),
      evaluator: await Evaluator.create(mine.model, mine.layout, threads, mine.info.loss),
      slice: sliced?.slice,
      local,
      mine,
      graph,
    };
    this.#state = { kind: 'opened', engines };
    return engines;
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

/** The weights of a version that this gateway trains. */
const part = ({ weights }: Artifact, slice: Slice | undefined): Float32Array =>
  slice ? gather(weights, slice) : weights;

/** The weights in service and the version considered last, where there are such. */
function held(state: State): { readonly serving?: Float32Array; readonly version?: Float32Array } {
  return state.kind === 'closed' || state.kind === 'opened' ? {} : state;
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
