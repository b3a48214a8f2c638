import { join } from 'node:path';
import type { Artifact } from '@ecavg/models';
import {
  CodedError,
  decodeMessage,
  type EdgeTopic,
  type Manifest,
  type MetricsMessage,
  parseEdgeTopic,
  type RoundMessage,
  type Signer,
  type StatusMessage,
  Topics,
  type UpdateChunk,
} from '@ecavg/protocol';
import { connectBroker, type Logger, type MqttClient } from '@ecavg/runtime';
import { strategySchema } from '../aggregation/config.js';
import { EdgeKeys } from '../fleet/edgeKeys.js';
import { Inbox } from '../inbox/inbox.js';
import { Receipts } from '../inbox/receipts.js';
import type { RoundStore } from '../inbox/roundStore.js';
import { Slices } from '../inbox/slices.js';
import { Aggregator } from '../judging/aggregator.js';
import { Publisher } from '../versions/publisher.js';
import type { Version } from '../versions/registry.js';
import type { RegionalConfig } from './config.js';

/** Sums, and nothing else: clipping and robust combiners are the cloud's, which has more than one update to compare. */
const STRATEGY = strategySchema.parse({ clip: 0 });

interface Parts {
  readonly config: RegionalConfig;
  readonly signer: Signer;
  readonly store: RoundStore;
  readonly log: Logger;
}

interface Handlers {
  /** @throws where an update is not wanted now. */
  admit(chunk: UpdateChunk): void;
  /** An update is on disk. */
  accepted(): Promise<void>;
  status(message: StatusMessage): Promise<void>;
  report(message: MetricsMessage): Promise<void>;
  schedule(step: () => Promise<void>): void;
}

/** What there is once a version was taken. */
export interface Serving {
  readonly kind: 'serving';
  readonly manifest: Manifest;
  readonly artifact: Artifact;
  readonly inbox: Inbox;
  readonly aggregator: Aggregator;
  readonly publisher: Publisher;
}

type State = { readonly kind: 'no-version' } | Serving;

/** A region's way down: towards its edges it is a cloud. */
export class Downlink {
  readonly #topics: Topics;
  readonly #client: MqttClient;
  /** What comes on which kind of topic. */
  readonly #hears: Readonly<Record<EdgeTopic['kind'], (topic: string, payload: Uint8Array) => Promise<void>>>;
  #state: State = { kind: 'no-version' };

  constructor(
    private readonly parts: Parts,
    private readonly handlers: Handlers,
  ) {
    const { config, log } = parts;
    this.#topics = new Topics(config.fleet);
    const clientId = `ecavg-${config.fleet}-cloud-${config.model.id}`;
    this.#client = connectBroker(config.broker, { clientId, manual: true }, log);
    this.#client.on('message', (topic, payload) => handlers.schedule(() => this.#message(topic, payload)));
    this.#client.on('connect', () => handlers.schedule(() => this.#connected()));
    this.#hears = {
      update: async (topic, payload) => this.serving?.inbox.update(topic, payload),
      enrol: async (topic, payload) => this.serving?.inbox.enrol(topic, payload),
      status: (_, payload) => handlers.status(decodeMessage('status', payload)),
      metrics: (_, payload) => handlers.report(decodeMessage('metrics', payload)),
      // None is asked for: shares do not reach through a region.
      share: async (topic, payload) => this.serving?.inbox.share(topic, payload),
      // Receipts are what this region sends itself.
      receipt: async () => undefined,
    };
  }

  /** Undefined before the first version. */
  get serving(): Serving | undefined {
    return this.#state.kind === 'serving' ? this.#state : undefined;
  }

  start(): void {
    this.#client.connect();
  }

  async stop(): Promise<void> {
    await this.#client.endAsync(true);
  }

  /** @throws where a version can't take the place of the one before: what its edges sent counts by the layout of that. */
  fits({ layout }: Artifact): void {
    const { serving } = this;
    if (serving && serving.artifact.layout.hash !== layout.hash)
      throw new CodedError('ECAVG_MODEL_SHAPE', 'the model has another layout now: start this aggregator again');
  }

  /** Passes a version on, byte for byte. */
  async version(manifest: Manifest, artifact: Artifact, difference: Uint8Array | undefined): Promise<void> {
    const { config, store } = this.parts;
    const before = this.serving;
    const slices = new Slices(artifact, STRATEGY.combiner);
    const folder = join(config.dataDir, 'rounds', config.model.id);
    const serving: Serving = {
      kind: 'serving',
      manifest,
      artifact,
      inbox: before?.inbox ?? this.#makeInbox(artifact, slices),
      aggregator: new Aggregator({ strategy: STRATEGY }, folder, store.references, slices),
      publisher: before?.publisher ?? this.#makePublisher(manifest),
    };
    this.#state = serving;
    await serving.publisher.version(asVersion(manifest), artifact, before && asVersion(before.manifest), difference);
  }

  /** Tells the edges of a round of the cloud, as this region holds it. */
  async announce(round: RoundMessage, state: 'open' | 'closed', deadlineAt: number): Promise<void> {
    const { base, hyper, codec, openedAt, model, mode } = round;
    await this.serving?.publisher.round({
      model,
      round: round.round,
      state,
      base,
      openedAt,
      deadlineAt: Math.max(openedAt, deadlineAt),
      hyper,
      codec,
      ...(mode && { mode }),
    });
  }

  #makePublisher({ classes, simulatedData, stream }: Manifest): Publisher {
    const { config, signer, log } = this.parts;
    return new Publisher({
      client: this.#client,
      signer,
      topics: this.#topics,
      model: config.model.id,
      task: { classes, simulated: simulatedData, ...(stream !== undefined && { stream }) },
      wholeBytes: config.publish.wholeBytes,
      transfer: config.broker.transfer,
      log,
    });
  }

  #makeInbox({ layout }: Artifact, slices: Slices): Inbox {
    const { config, store, log } = this.parts;
    const { admit, accepted } = this.handlers;
    return new Inbox({
      receipts: new Receipts({ topics: this.#topics, client: this.#client, log }),
      keys: new EdgeKeys(join(config.dataDir, 'keys'), config.enrolment.mode),
      log,
      updates: { model: config.model.id, layout, slices, store, temporal: true, admit, accepted },
    });
  }

  async #connected(): Promise<void> {
    await this.serving?.publisher.repeat();
    await this.#client.subscribeAsync(this.#topics.cloudSubscriptions, { qos: 1 });
  }

  async #message(topic: string, payload: Uint8Array): Promise<void> {
    try {
      await this.#hears[parseEdgeTopic(this.#topics, topic).kind](topic, payload);
    } catch (error) {
      const { serving } = this;
      if (!serving) throw error;
      serving.inbox.reject(topic, error);
    }
  }
}

/** A manifest as the publisher takes it. */
function asVersion(manifest: Manifest): Version {
  const { version, infer, train, parent, round, createdAt, metrics, difference } = manifest;
  return {
    version,
    sha256: infer.sha256,
    train: train.sha256,
    parent,
    round,
    createdAt,
    metrics,
    state: 'current',
    ...(difference && { difference: { sha256: difference.sha256, from: difference.from, codec: difference.codec } }),
  };
}
