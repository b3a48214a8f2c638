import { setTimeout as sleep } from 'node:timers/promises';
import { decodeMessage, type Manifest, ProtocolError, type Receipt, type RoundMessage, Topics } from '@ecavg/protocol';
import type { Logger } from '../logger.js';
import type { BrokerConfig } from '../mqtt.js';
import type { BlobStore } from './blobStore.js';
import { CloudConnection, type MakeClient } from './connection.js';
import { Downloader } from './download.js';
import { Enrolment } from './enrolment.js';
import type { Identity, Names } from './identity.js';
import type { Following, InHand, ModelReader, VersionFiles } from './model.js';
import { Outbox, type OutboxEntry, type OutboxStore, type Outcome } from './outbox.js';
import { Presence, type Present } from './presence.js';
import { Sender } from './sender.js';
import { Steps } from './steps.js';
import { VersionLoader } from './versionLoader.js';
import { type Taken, Versions } from './versions.js';

/** What a follower is made of. */
export interface FollowerParts<A extends VersionFiles, E extends OutboxEntry> {
  readonly names: Names;
  readonly broker: BrokerConfig;
  readonly identity: Identity;
  /** File with a one-time token, for a cloud that wants one. */
  readonly tokenFile: string | undefined;
  /** An update without a receipt is sent again after this long; so is tried what failed. */
  readonly resendSeconds: number;
  /** Back after a long absence, it waits for a random part of this before it catches up. */
  readonly catchUpSeconds: number;
  /** Whether versions on trial concern it. */
  readonly canary: boolean;
  /** Name and release of this program, for the cloud: see SOFTWARE. */
  readonly software: string;
  readonly models: ModelReader<A>;
  readonly blobs: BlobStore;
  readonly outbox: OutboxStore<E>;
  readonly log: Logger;
  /** In place of a real connection, for tests. */
  readonly makeClient?: MakeClient;
}

/** What whoever follows makes of it. Where a promise is returned, it runs as a step, after those before it. */
export interface FollowerHandlers<A extends VersionFiles, E extends OutboxEntry> {
  /** What its status says; the version in hand is known here. */
  present(): Omit<Present, 'version'>;
  /** @throws `layout-mismatch` where a version can't be used here. */
  fits(manifest: Manifest, artifact: A): void;
  /** A version is in hand that was not before. Where this throws, it comes once more. */
  taken(now: InHand<A>, about: Taken<A>): Promise<void>;
  /** The version in hand has another number now, or the cloud asks once more. */
  again(now: InHand<A>): Promise<void>;
  round(round: RoundMessage): Promise<void>;
  /** The update has its receipt. */
  settled(entry: E, outcome: Outcome): Promise<void>;
  /** After a step that failed: what is worth another try. */
  retry(): Promise<void>;
  /** A round's message came, and its turn is not yet: what goes on can be ended by it. */
  heard?(round: RoundMessage): void;
  /** See Outbox. Default: it can't be made. */
  encodeAgain?(entry: E): Promise<E | undefined>;
  /** An update goes out for the first time. */
  sending?(id: string): void;
  /** After a connection, and the wait that may follow it: more that waits can go out. */
  resumed?(): void;
  /** A receipt of something else than the update. */
  receipt?(receipt: Receipt): void;
  /** After a step, and where the connection came or went. */
  changed?(): void;
  /** Topics besides those of every follower, and what comes on them; false where a message is none of these. */
  readonly more?: { readonly topics: readonly string[]; accept(topic: string, payload: Uint8Array): boolean };
}

type Hear = (payload: Uint8Array) => void;

/**
 * Follows a cloud, as every gateway and every regional aggregator does: what the cloud publishes is checked, remembered and fetched,
 * the node's update is sent until there is a receipt, and its status says that it is there. May use the protocol and this package.
 */
export class Follower<A extends VersionFiles, E extends OutboxEntry> {
  readonly topics: Topics;
  readonly steps: Steps;
  readonly connection: CloudConnection;
  readonly outbox: Outbox<E>;
  readonly #versions: Versions<A>;
  readonly #loader: VersionLoader<A>;
  readonly #downloads: Downloader;
  readonly #presence: Presence;
  readonly #enrolment: Enrolment;
  readonly #sender: Sender;
  /** What comes on which topic. */
  readonly #hears: ReadonlyMap<string, Hear>;
  #round: RoundMessage | undefined;

  constructor(
    private readonly parts: FollowerParts<A, E>,
    private readonly handlers: FollowerHandlers<A, E>,
  ) {
    const { names, broker, identity, resendSeconds, models, blobs, log } = parts;
    const { fleet, edge, model } = names;
    const topics = new Topics(fleet);
    this.topics = topics;
    this.steps = new Steps({
      retrySeconds: resendSeconds,
      log,
      retry: () => handlers.retry(),
      after: () => handlers.changed?.(),
    });
    this.#presence = new Presence({
      names,
      session: identity.session,
      software: parts.software,
      now: () => ({ ...handlers.present(), version: this.version }),
      publish: (status) => this.publish(topics.status(edge), status, true),
    });
    this.connection = new CloudConnection({
      broker,
      clientId: `ecavg-${fleet}-edge-${edge}`,
      login: identity.login,
      will: {
        topic: topics.status(edge),
        payload: this.#presence.status({ ...handlers.present(), online: false, version: 0 }),
      },
      catchUpSeconds: parts.catchUpSeconds,
      log,
      makeClient: parts.makeClient,
      topics: () => [...this.#hears.keys(), ...(handlers.more?.topics ?? [])],
      connected: (waitMs) => this.#connected(waitMs),
      lost: () => handlers.changed?.(),
      message: (topic, payload) => this.#message(topic, payload),
    });
    const { client, flow } = this.connection;
    this.#downloads = new Downloader(client, topics, model, log);
    this.#loader = new VersionLoader({
      models,
      blobs,
      downloads: this.#downloads,
      log,
      fits: (m, a) => handlers.fits(m, a),
    });
    this.#versions = new Versions({
      loader: this.#loader,
      downloads: this.#downloads,
      trust: identity.trust,
      steps: this.steps,
      retrySeconds: resendSeconds,
      taken: (now, about) => handlers.taken(now, about),
      again: (now) => handlers.again(now),
    });
    const { chunkBytes } = broker.transfer;
    this.#sender = new Sender({ client, flow, chunkBytes, resendSeconds, log }, ({ id }) => handlers.sending?.(id));
    this.outbox = new Outbox({
      names,
      topic: topics.update(edge, model),
      sender: this.#sender,
      store: parts.outbox,
      log,
      encodeAgain: async (entry) => handlers.encodeAgain?.(entry),
    });
    this.#enrolment = new Enrolment({
      names,
      identity,
      tokenFile: parts.tokenFile,
      log,
      publish: (request) => this.publish(topics.enrol(edge), request),
    });
    const hears = new Map<string, Hear>();
    hears.set(topics.manifest(model), (payload) => this.#onManifest(decodeMessage('manifest', payload)));
    if (parts.canary) hears.set(topics.canary(model), (payload) => this.#onCanary(payload));
    hears.set(topics.round(model), (payload) => this.#onRound(decodeMessage('round', payload)));
    hears.set(topics.receipt(edge, model), (payload) => this.#onReceipt(decodeMessage('receipt', payload)));
    this.#hears = hears;
  }

  /** The version in hand. */
  get following(): Following<A> {
    return this.#versions.following;
  }

  /** Number of the version in hand; 0: none yet. */
  get version(): number {
    const { following } = this;
    return following.kind === 'in-hand' ? following.manifest.version : 0;
  }

  /** The newest round's message. */
  get round(): RoundMessage | undefined {
    return this.#round;
  }

  /** Takes up what the last run left, and connects. */
  async start(): Promise<void> {
    await this.outbox.open();
    this.connection.open();
  }

  /** A published file of the version in hand. */
  fetch(...of: Parameters<VersionLoader<A>['fetch']>): Promise<Uint8Array> {
    return this.#loader.fetch(...of);
  }

  /** Says in the status what has changed. */
  tell(): void {
    this.#presence.tell();
  }

  publish(topic: string, payload: Uint8Array, retain = false): void {
    this.connection.publish(topic, payload, retain);
  }

  /** Ends what goes on; what is on disk goes on with the next run. */
  async stop(): Promise<void> {
    const idle = this.steps.stop();
    this.#versions.stop();
    await idle;
    this.#sender.done();
  }

  /** Says that the node is gone, and disconnects. */
  async close(): Promise<void> {
    const { topics, parts, handlers } = this;
    const farewell = this.#presence.status({ ...handlers.present(), online: false, version: this.version });
    await this.connection.close(topics.status(parts.names.edge), farewell);
  }

  #connected(waitMs: number): void {
    this.#presence.tellAnew();
    this.handlers.changed?.();
    const resume = (): void => {
      this.#downloads.resume();
      this.#enrolment.ask();
      this.outbox.resume();
      this.handlers.resumed?.();
    };
    if (waitMs === 0) return resume();
    const waited = sleep(waitMs, undefined, { signal: this.steps.stopped });
    // Versions that came meanwhile, and training, wait in the queue. A download that was cut off stands in it already, and goes on from here.
    this.steps.run(() => waited);
    waited.then(resume, () => undefined);
  }

  #message(topic: string, payload: Uint8Array): void {
    if (this.#downloads.accept(topic, payload) || this.handlers.more?.accept(topic, payload)) return;
    try {
      this.#hears.get(topic)?.(payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.parts.log.warn({ topic, reason: error.reason, detail: error.message }, 'message refused');
    }
  }

  #onManifest(manifest: Manifest): void {
    const { names, identity } = this.parts;
    if (manifest.fleet !== names.fleet || manifest.model !== names.model)
      throw new ProtocolError('identity-mismatch', `manifest of ${manifest.fleet}/${manifest.model}`);
    identity.trust.check(manifest);
    this.#versions.want(manifest);
  }

  /** A version on trial concerns the edges that it names; an empty message ends the trial. */
  #onCanary(payload: Uint8Array): void {
    if (payload.length === 0) return;
    const manifest = decodeMessage('manifest', payload);
    if (manifest.canary?.includes(this.parts.names.edge)) this.#onManifest(manifest);
  }

  #onRound(round: RoundMessage): void {
    const { names, identity } = this.parts;
    if (round.model !== names.model) throw new ProtocolError('identity-mismatch', `round of model ${round.model}`);
    identity.trust.check(round);
    this.#round = round;
    this.handlers.heard?.(round);
    this.steps.run(async () => {
      await identity.trust.remember(round);
      // A newer one has come meanwhile, and its turn is next.
      if (round === this.#round) await this.handlers.round(round);
    });
  }

  #onReceipt(receipt: Receipt): void {
    if (receipt.id === null) {
      this.steps.run(async () => {
        if (await this.#enrolment.answered(receipt)) this.outbox.resume();
      });
    } else if (!this.outbox.concerns(receipt)) this.handlers.receipt?.(receipt);
    else if (this.outbox.answered(receipt)) {
      this.steps.run(async () => {
        const settled = await this.outbox.settle(receipt);
        if (settled) await this.handlers.settled(settled.entry, settled.outcome);
      });
    }
  }
}
