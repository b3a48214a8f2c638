// Versions: the registry of a model's versions, how one is coded, published, tried out by some edges and taken back.
// It may touch the rooms aggregation, fleet, telemetry, inbox and judging.
import type { Artifact } from '@ecavg/models';
import { CodedError, PRESETS } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { ServerState } from '../aggregation/serverOptimizer.js';
import type { EventLog } from '../fleet/events.js';
import type { Members } from '../fleet/members.js';
import type { Aggregator } from '../judging/aggregator.js';
import type { ReferenceSet } from '../judging/reference.js';
import { drawCanaries, objection, type Reception, receptionOf } from './canary.js';
import type { CanaryConfig, PublishConfig } from './config.js';
import { type Difference, nextVersion } from './difference.js';
import type { Publisher } from './publisher.js';
import type { Registry, Version } from './registry.js';
import { objectionText } from './words.js';

/** What settings say of releases. */
export interface ReleaseSettings {
  readonly publish: PublishConfig;
  readonly canary: CanaryConfig;
  /** How long the edges' reports on a version are waited for. */
  readonly rounds: { readonly settleSeconds: number };
}

export interface ReleaseParts {
  readonly config: ReleaseSettings;
  readonly registry: Registry;
  readonly reference: ReferenceSet;
  readonly aggregator: Aggregator;
  readonly publisher: Publisher;
  readonly members: Members;
  readonly events: EventLog;
  readonly log: Logger;
  /** Called with what the edges made of a version. */
  received(version: number, outcome: 'published' | 'promoted' | 'withdrawn', reception: Reception): void;
}

/** Weights that the guard let pass, and the figures that they are published with. */
export interface Candidate {
  readonly round: number;
  readonly weights: Float32Array;
  readonly score: { readonly accuracy: number; readonly loss: number };
  readonly metrics: Readonly<Record<string, number>>;
  readonly moments: ServerState;
}

/** Accuracy that coding the step to a new version may cost before it is coded without loss. */
const CODING_LOSS = 0.002;

interface Pending {
  readonly version: number;
  /** Who is to report; undefined: everybody online. */
  readonly edges: readonly string[] | undefined;
  readonly until: number;
}

/** A version that is in the registry, and has to be published. */
export interface Registered {
  readonly version: Version;
  readonly artifact: Artifact;
  readonly difference: Difference;
  /** In force before it. */
  readonly previous: Version | undefined;
}

/** How a version comes into force: coded, registered, tried by some edges where that is wanted, published, taken back. */
export class Releases {
  #current: Artifact;
  /** Whose reports are waited for. */
  #pending: Pending | undefined;

  private constructor(
    private readonly parts: ReleaseParts,
    current: Artifact,
  ) {
    this.#current = current;
  }

  static async open(parts: ReleaseParts): Promise<Releases> {
    const { head } = parts.registry;
    if (!head) throw new CodedError('ECAVG_PROGRAM', 'the registry has no version in force');
    return new Releases(parts, await parts.registry.load(head));
  }

  /** The version in force. */
  get current(): Artifact {
    return this.#current;
  }

  /** Publishes what is in force, and goes on with a trial that was interrupted. */
  async start(): Promise<void> {
    const { registry, publisher } = this.parts;
    const head = this.#head();
    await publisher.version(head, this.#current, registry.previous, await this.#difference(head));
    const { canary } = registry;
    if (!canary?.canary) return;
    await publisher.canary(canary, await registry.load(canary), await this.#difference(canary), canary.canary.edges);
    this.#await(canary.version, canary.canary.edges, canary.canary.until - Date.now());
  }

  /** Makes judged weights the next version, as the edges will decode it: for everybody, or on trial first. */
  async release(candidate: Candidate): Promise<Version> {
    const registered = await this.register(candidate);
    await this.publish(registered);
    return registered.version;
  }

  /** Codes judged weights as the step from the version in force, and writes what the edges will decode to the registry. */
  async register(candidate: Candidate): Promise<Registered> {
    const { registry, reference, config, log, aggregator, members } = this.parts;
    let { score } = candidate;
    const next = await nextVersion(
      this.#current,
      candidate.weights,
      PRESETS[config.publish.difference],
      async (decoded) => {
        score = await reference.evaluate(decoded);
        return score.accuracy >= candidate.score.accuracy - CODING_LOSS;
      },
    );
    if (next.lossless) score = candidate.score;
    const { artifact, difference } = next;
    const [bytes, whole] = [difference.payload.length, artifact.infer.length];
    log.debug({ round: candidate.round, bytes, whole, lossless: next.lossless }, 'coded the difference');
    const number = (registry.newest?.version ?? 0) + 1;
    const edges = config.canary.share > 0 ? drawCanaries(members.online, config.canary.share, number) : [];
    const about = {
      round: candidate.round,
      createdAt: Date.now(),
      metrics: { accuracy: score.accuracy, loss: score.loss, ...candidate.metrics, differenceBytes: bytes },
      ...(edges.length > 0 && { canary: { edges, until: Date.now() + this.#waitMs } }),
    };
    await aggregator.keep(artifact.sha256, candidate.moments);
    const previous = registry.head;
    const version = await registry.add(artifact, about, difference);
    await aggregator.prune([this.#current.sha256, artifact.sha256]);
    if (!version.canary) this.#current = artifact;
    return { version, artifact, difference, previous };
  }

  /** Sends a registered version to everybody, or to those that try it. */
  async publish({ version, artifact, difference, previous }: Registered): Promise<void> {
    const { publisher, events, log } = this.parts;
    if (version.canary) {
      const { edges } = version.canary;
      log.info({ version: version.version, edges }, 'the version is on trial');
      events.emit('canary-started', { version: version.version, edges });
      await publisher.canary(version, artifact, difference.payload, edges);
      this.#await(version.version, edges, this.#waitMs);
    } else {
      await publisher.version(version, artifact, previous, difference.payload);
      this.#await(version.version, undefined, this.#waitMs);
    }
  }

  get #waitMs(): number {
    const { canary, rounds } = this.parts.config;
    return 1000 * (canary.share > 0 ? canary.waitSeconds : rounds.settleSeconds);
  }

  /**
   * Looks whether the edges have reported on the last version, or the wait for them is over, and decides on one that is on trial.
   * @returns ms that are left to wait at most; 0 where nothing stands against the next round.
   */
  async settle(): Promise<number> {
    const pending = this.#pending;
    if (!pending) return 0;
    const { members, config } = this.parts;
    const wanted = pending.edges ?? members.online;
    const reports = members.reportsOn(pending.version).filter((r) => pending.edges?.includes(r.edge) ?? true);
    const has = new Set(reports.map((r) => r.edge));
    if (wanted.some((e) => !has.has(e)) && Date.now() < pending.until) return this.#left;
    this.#pending = undefined;
    const reception = receptionOf(reports, config.canary);
    if (pending.edges) await this.#decide(pending.version, reception);
    else {
      this.parts.received(pending.version, 'published', reception);
      this.parts.events.emit('received', { version: pending.version, outcome: 'published', ...reception });
    }
    return this.#left;
  }

  /** ms that are left to wait; 0 where nothing is waited for. */
  get #left(): number {
    return this.#pending ? Math.min(Math.max(1, this.#pending.until - Date.now()), this.#longest) : 0;
  }

  /** A clock that was set back must not make a wait longer than it can be. */
  get #longest(): number {
    const { canary, rounds } = this.parts.config;
    return 1000 * Math.max(canary.waitSeconds, rounds.settleSeconds);
  }

  /**
   * Brings an earlier version back, for everybody, as a new one.
   * @throws ConfigError where it is not kept.
   */
  async restore(number: number): Promise<Version> {
    const { registry, publisher, events, log } = this.parts;
    this.#pending = undefined;
    const before = this.#head();
    const version = await registry.restore(number, Date.now());
    this.#current = await registry.load(version);
    await publisher.version(version, this.#current, before, undefined);
    await publisher.endCanary();
    log.warn({ version: version.version, restores: version.restores }, 'an earlier version is back in force');
    events.emit('restored', { version: version.version, restores: version.restores ?? null, from: before.version });
    this.#await(version.version, undefined, this.parts.config.rounds.settleSeconds * 1000);
    return version;
  }

  async #decide(number: number, reception: Reception): Promise<void> {
    const { registry, config, publisher, events, log } = this.parts;
    const { canary } = registry;
    if (canary?.version !== number) return;
    const against = objection(reception, config.canary);
    const promoted = against === undefined;
    const reason = against ? objectionText(against) : null;
    const figures = { version: number, promoted, reason, ...reception };
    log[promoted ? 'info' : 'warn'](figures, promoted ? 'the trial went well' : 'the version is withdrawn');
    this.parts.received(number, promoted ? 'promoted' : 'withdrawn', reception);
    events.emit('canary-decided', figures);
    if (!promoted) {
      await this.restore(this.#head().version);
      return;
    }
    const before = registry.head;
    const artifact = await registry.load(canary);
    await registry.promote();
    this.#current = artifact;
    await publisher.version(this.#head(), artifact, before, await this.#difference(canary));
    await publisher.endCanary();
    this.#await(number, undefined, config.rounds.settleSeconds * 1000);
  }

  #head(): Version {
    const { head } = this.parts.registry;
    if (!head) throw new CodedError('ECAVG_PROGRAM', 'the registry has no version in force');
    return head;
  }

  async #difference(version: Version): Promise<Uint8Array | undefined> {
    return version.difference && (await this.parts.registry.blob(version.difference.sha256));
  }

  #await(version: number, edges: readonly string[] | undefined, ms: number): void {
    this.#pending = { version, edges, until: Date.now() + Math.min(Math.max(0, ms), this.#longest) };
  }
}
