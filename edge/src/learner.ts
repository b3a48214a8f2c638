import { randomInt } from 'node:crypto';
import { type Artifact, createTrainer, Evaluator, labelHistogram, type Trainer, type View } from '@ecavg/models';
import { type RoundMessage, type Signer, sha256Hex } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import { encodeEntry } from './coding.js';
import type { EdgeConfig } from './config.js';
import type { LocalData } from './data.js';
import { LocalNorm } from './localNorm.js';
import type { EdgeStore, Memory, OutboxEntry } from './store.js';

/** Measurements by name: accuracies in [0, 1], losses, seconds, bytes. */
export type Values = Record<string, number>;

/** Trains and judges models on this gateway's data. Holds the model that the gateway serves. */
export class Learner {
  #trainer: Trainer | undefined;
  #evaluator: Evaluator | undefined;
  /** With `train.localBatchNorm`. */
  #norm: LocalNorm | undefined;
  /** sha256 of the training graph that the two were made for. */
  #graph = '';
  /** Weights in service: the adopted version or the model trained here. */
  #serving: Float32Array | undefined;

  constructor(
    private readonly config: EdgeConfig,
    private readonly data: LocalData,
    private readonly store: EdgeStore,
    private readonly signer: Signer,
    private readonly log: Logger,
  ) {}

  /** Compares a new version with the model in service and takes it, or not. */
  async consider(artifact: Artifact): Promise<{ adopted: boolean; values: Values }> {
    const { evaluator } = await this.#engines(artifact);
    const arrived = this.#norm?.apply(artifact.weights) ?? artifact.weights;
    const [after, testAfter] = await this.#measure(evaluator, arrived);
    const mine = this.#serving;
    if (!mine) {
      this.#serving = arrived;
      const test = { ...named('testAfter', testAfter), ...named('testServing', testAfter) };
      return { adopted: true, values: { valAfter: after, ...test } };
    }
    const [before, testBefore] = await this.#measure(evaluator, mine);
    const adopted = this.config.adopt.policy === 'always' || after >= before - this.config.adopt.tolerance;
    if (adopted) this.#serving = arrived;
    const testServing = adopted ? testAfter : testBefore;
    return {
      adopted,
      values: {
        valBefore: before,
        valAfter: after,
        ...named('testBefore', testBefore),
        ...named('testAfter', testAfter),
        ...named('testServing', testServing),
      },
    };
  }

  /** One round of local training from the round's base: the update, ready for the outbox. */
  async train(
    artifact: Artifact,
    round: RoundMessage,
    memory: Memory,
    budget: () => number | undefined,
    signal: AbortSignal,
  ): Promise<{ entry: OutboxEntry; values: Values }> {
    const { trainer, evaluator } = await this.#engines(artifact);
    const { layout, weights: base } = artifact;
    const start = this.#norm?.apply(base) ?? base;
    const [valBefore] = await this.#measure(evaluator, start);
    trainer.setWeights(start);
    // The shard's number in the seed keeps gateways from visiting samples in the same order.
    const seed = round.hyper.seed + this.config.data.index;
    const result = await trainer.train(this.data.train, { ...round.hyper, seed, signal });
    const local = trainer.getWeights();
    const [valAfter, testAfter] = await this.#measure(evaluator, local);
    this.#serving = local;
    const delta = local.map((w, i) => w - (base[i] as number));
    this.#norm?.exclude(delta);
    await this.#norm?.keep(local);
    const values: Values = {
      samples: this.data.train.indices.length,
      steps: result.steps,
      seconds: result.seconds,
      loss: result.loss,
      valBefore,
      valAfter,
      ...named('testAfter', testAfter),
    };
    const header = {
      fleet: this.config.fleet,
      edge: this.config.edge,
      model: this.config.model,
      round: round.round,
      base: artifact.sha256,
      codec: round.codec.name,
      layout: layout.hash,
      samples: this.data.train.indices.length,
      steps: result.steps,
      createdAt: Date.now(),
      metrics: values,
      ...(this.config.share.labels && { labels: noisyHistogram(this.data.train, this.config.share.labelNoise) }),
    };
    const entry = encodeEntry(header, delta, memory, layout, round.codec.options, budget(), this.signer);
    return { entry, values: { ...values, bytes: entry.blob.length, bytesFloat32: layout.total * 4 } };
  }

  async release(): Promise<void> {
    await this.#trainer?.release();
    await this.#evaluator?.release();
  }

  async #engines(artifact: Artifact): Promise<{ trainer: Trainer; evaluator: Evaluator }> {
    const graph = sha256Hex(artifact.train);
    if (!this.#trainer || !this.#evaluator || graph !== this.#graph) {
      await this.release();
      const { engine, threads } = this.config.train;
      this.#trainer = await createTrainer(artifact, { engine, threads });
      this.#evaluator = await Evaluator.create(artifact.model, artifact.layout, threads);
      this.#graph = graph;
      if (this.config.train.localBatchNorm) {
        this.#norm = await LocalNorm.open(this.store, artifact);
        if (this.#norm.empty) this.log.warn('train.localBatchNorm has no effect: the model has no batch normalisation');
      }
      // A model of another architecture can't be compared with the one in service.
      this.#serving = undefined;
    }
    return { trainer: this.#trainer, evaluator: this.#evaluator };
  }

  async #measure(evaluator: Evaluator, weights: Float32Array): Promise<[number, number | undefined]> {
    const validation = await evaluator.classify(weights, this.data.validation);
    const test = this.data.test && (await evaluator.classify(weights, this.data.test));
    return [validation.accuracy, test?.accuracy];
  }
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
