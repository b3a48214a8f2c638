import type { Artifact } from '@ecavg/models';
import { PRESETS, type RoundMessage, type UpdateHeader, warmedUp } from '@ecavg/protocol';
import { type Logger, SerialQueue } from '@ecavg/runtime';
import type { Aggregator } from './aggregate.js';
import { leastUpdates } from './aggregation/combine.js';
import type { ServerState } from './aggregation/serverOptimizer.js';
import { type CloudConfig, codecOptions } from './config.js';
import { nextVersion } from './difference.js';
import type { EventLog } from './events.js';
import { chosenScore, Guard, type Verdict } from './guard.js';
import type { Judge } from './judge.js';
import type { Members } from './members.js';
import type { Publisher } from './publisher.js';
import type { Registry } from './registry.js';
import type { RoundState, RoundStore } from './roundStore.js';

export interface RoundParts {
  readonly config: CloudConfig;
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly judge: Judge;
  readonly aggregator: Aggregator;
  readonly publisher: Publisher;
  readonly members: Members;
  readonly events: EventLog;
  readonly log: Logger;
  /** Called once a round's outcome is registered. */
  closed(outcome: RoundOutcome): void;
}

export interface RoundOutcome {
  readonly state: RoundState;
  readonly updates: readonly UpdateHeader[];
  readonly verdict: Verdict;
  readonly version: number;
  readonly seconds: number;
}

const RETRY_MS = 5000;

/** Accuracy that coding the step to a new version may cost before it is coded without loss. */
const CODING_LOSS = 0.002;

/**
 * The synchronous round: open -> collect until everyone has answered, or a quorum at the deadline ->
 * average, fine-tune, judge -> register and publish -> wait for the edges' reports -> next. Every step
 * runs on one queue, and the phase on disk says where to go on after a crash.
 */
export class RoundManager {
  readonly queue = new SerialQueue();
  readonly #guard: Guard;
  #current: Artifact;
  #deadline: NodeJS.Timeout | undefined;
  #settle: { version: number; until: number; timer: NodeJS.Timeout } | undefined;
  #retry: NodeJS.Timeout | undefined;
  #interval: NodeJS.Timeout | undefined;
  #finished = false;
  #stopped = false;

  constructor(
    private readonly parts: RoundParts,
    initial: Artifact,
  ) {
    this.#current = initial;
    this.#guard = new Guard(parts.judge, parts.config);
  }

  get finished(): boolean {
    return this.#finished;
  }

  /** Continues where the last run stopped. */
  async start(): Promise<void> {
    const { store, log } = this.parts;
    const state = store.state;
    if (state && state.phase !== 'done') {
      log.info({ round: state.round, phase: state.phase, accepted: store.accepted.length }, 'going on with the round');
    }
    if (state?.phase === 'open') {
      await this.#announce(state);
      this.#armDeadline(state.deadlineAt);
    }
    await this.#resume();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#settle?.timer);
    clearTimeout(this.#retry);
    clearTimeout(this.#interval);
    await this.queue.idle();
  }

  /**
   * Looks whether something is due; call it whenever an edge, an update or a report has come or gone. What
   * fails (a full disk, say) is logged and tried again: the phase on disk says from where.
   */
  advance(): void {
    void this.queue.run(async () => {
      try {
        await this.#resume();
      } catch (error) {
        this.parts.log.error({ err: error, retryMs: RETRY_MS }, 'the round can not go on; it will be tried again');
        clearTimeout(this.#retry);
        if (!this.#stopped) this.#retry = setTimeout(() => this.advance(), RETRY_MS);
      }
    });
  }

  /** Does the next thing that the phase on disk and the edges call for. */
  async #resume(): Promise<void> {
    if (this.#stopped) return;
    const { store, registry, members, config } = this.parts;
    const state = store.state;
    if (state?.phase === 'open') {
      if (!(await this.#complete(state))) return;
      await this.#close(state);
    } else if (state?.phase === 'closing' && registry.head?.round === state.round) {
      // A crash came after the version was registered; only the end of the round is left to write.
      await store.finish();
    } else if (state?.phase === 'closing') await this.#close(state);
    const round = (store.state?.round ?? 0) + 1;
    if (!this.#settled()) return;
    if (config.rounds.count > 0 && round > config.rounds.count) {
      if (!this.#finished) this.parts.events.emit('finished', { rounds: config.rounds.count });
      this.#finished = true;
      return;
    }
    const interval = config.rounds.intervalSeconds * 1000;
    const wait = Math.min(interval, (state?.openedAt ?? 0) + interval - Date.now());
    clearTimeout(this.#interval);
    if (wait > 0) this.#interval = setTimeout(() => this.advance(), wait + 5);
    else if (members.online.length >= config.rounds.minEdges) await this.#open(round);
  }

  async #complete(state: RoundState): Promise<boolean> {
    const { store, members, events, log } = this.parts;
    const accepted = store.accepted.length;
    const { rounds, strategy } = this.parts.config;
    const needed = Math.max(leastUpdates(strategy), Math.ceil(rounds.quorum * state.participants.length));
    const has = new Set(store.accepted.map((a) => a.header.edge));
    const waiting = state.participants.filter((e) => members.isOnline(e) && !has.has(e));
    const overdue = this.#overdue(state);
    if (accepted >= needed && (waiting.length === 0 || overdue)) {
      log.info({ round: state.round, accepted, needed, waiting }, 'closing the round');
      return true;
    }
    if (overdue) {
      const next = { ...state, deadlineAt: Date.now() + this.parts.config.rounds.deadlineSeconds * 1000 };
      log.warn({ round: state.round, accepted, needed, waiting }, 'no quorum at the deadline: the round stays open');
      events.emit('deadline-extended', { round: state.round, accepted, needed });
      await store.save(next);
      await this.#announce(next);
      this.#armDeadline(next.deadlineAt);
    }
    return false;
  }

  /** A deadline further away than a whole round means that the clock was set back. */
  #overdue(state: RoundState): boolean {
    const left = state.deadlineAt - Date.now();
    return left <= 0 || left > this.parts.config.rounds.deadlineSeconds * 1000 + 1000;
  }

  async #open(round: number): Promise<void> {
    const { config, store, registry, members, events, log } = this.parts;
    const head = registry.head;
    if (!head) throw new Error('no version to open a round on');
    const now = Date.now();
    const { deadlineSeconds, pretrainEpochs, epochs } = config.rounds;
    const state: RoundState = {
      round,
      phase: 'open',
      base: { version: head.version, sha256: head.sha256 },
      openedAt: now,
      deadlineAt: now + deadlineSeconds * 1000,
      participants: members.online,
      epochs: head.version === 1 ? pretrainEpochs : epochs,
    };
    await store.save(state);
    log.info({ round, base: head.version, participants: state.participants.length }, 'round opened');
    events.emit('round-opened', { round, base: head.version, participants: state.participants, epochs: state.epochs });
    await this.#announce(state);
    this.#armDeadline(state.deadlineAt);
  }

  async #announce(state: RoundState): Promise<void> {
    const { config, publisher } = this.parts;
    const { learningRate, momentum } = config.rounds;
    await publisher.round({
      model: config.model.id,
      round: state.round,
      state: state.phase === 'open' ? 'open' : 'closed',
      base: state.base,
      openedAt: state.openedAt,
      deadlineAt: state.deadlineAt,
      // Rounds and gateways are 1000 and 1 apart, so that no two visit samples in the same order.
      hyper: { epochs: state.epochs, learningRate, momentum, seed: config.model.seed * 1_000_000 + state.round * 1000 },
      codec: this.#codec(state.round),
    });
  }

  #codec(round: number): RoundMessage['codec'] {
    const { name, options } = codecOptions(this.parts.config);
    return { name, options: warmedUp(options, round) };
  }

  async #close(open: RoundState): Promise<void> {
    const { store, registry, judge, publisher, events, log, config, members, aggregator } = this.parts;
    clearTimeout(this.#deadline);
    const state: RoundState = { ...open, phase: 'closing' };
    await store.save(state);
    await this.#announce(state);
    const updates = store.accepted;
    const { weights: base } = this.#current;
    const own = (): Promise<Float32Array | undefined> => judge.ownDifference(base, state.round);
    const aggregate = await aggregator.aggregate(this.#current, updates, own, (edge) => members.reliability(edge));
    const verdict = await this.#guard.decide(base, aggregate.weights, aggregate.parts, state.round);
    const difference = verdict.weights && (await this.#register(state, verdict, verdict.weights, aggregate.state));
    await store.finish();
    const version = registry.head?.version ?? 0;
    const seconds = (Date.now() - state.openedAt) / 1000;
    const headers = updates.map((u) => u.header);
    this.parts.closed({ state, updates: headers, verdict, version, seconds });
    const [first] = verdict.attempts;
    const figures = {
      round: state.round,
      decision: verdict.decision,
      version,
      accepted: headers.map((h) => h.edge),
      participants: state.participants,
      combiner: config.strategy.combiner,
      clipped: aggregate.combined.clipped,
      previous: verdict.previous.accuracy,
      average: first.average.accuracy,
      fineTuned: first.fineTuned?.accuracy ?? null,
      accuracy: chosenScore(verdict).accuracy,
      attempts: verdict.attempts.map(({ rung, leftOut, average, fineTuned }) => ({
        rung,
        leftOut,
        average: average.accuracy,
        fineTuned: fineTuned?.accuracy ?? null,
      })),
      indicators: verdict.indicators,
      seconds,
    };
    log[verdict.weights ? 'info' : 'warn'](figures, 'round closed');
    events.emit('round-closed', figures);
    const head = registry.head;
    if (!verdict.weights || !head) return;
    const previous = registry.versions.at(-2);
    await publisher.version(head, this.#current, previous, difference);
    const until = Date.now() + config.rounds.settleSeconds * 1000;
    const timer = setTimeout(() => this.advance(), config.rounds.settleSeconds * 1000);
    this.#settle = { version: head.version, until, timer };
  }

  /** Makes the judged weights the next version, as it will be decoded by the edges. Returns the coded difference. */
  async #register(
    state: RoundState,
    verdict: Verdict,
    weights: Float32Array,
    moments: ServerState,
  ): Promise<Uint8Array> {
    const { registry, judge, config, log, aggregator } = this.parts;
    const [first] = verdict.attempts;
    const chosen = chosenScore(verdict);
    let score = chosen;
    const next = await nextVersion(this.#current, weights, PRESETS[config.publish.difference], async (decoded) => {
      score = await judge.evaluate(decoded);
      return score.accuracy >= chosen.accuracy - CODING_LOSS;
    });
    if (next.lossless) score = chosen;
    const { artifact, difference } = next;
    const [bytes, whole] = [difference.payload.length, artifact.infer.length];
    log.debug({ round: state.round, bytes, whole, lossless: next.lossless }, 'coded the difference to the new version');
    const about = {
      round: state.round,
      createdAt: Date.now(),
      metrics: {
        accuracy: score.accuracy,
        loss: score.loss,
        previousAccuracy: verdict.previous.accuracy,
        averageAccuracy: first.average.accuracy,
        ...(first.fineTuned ? { fineTunedAccuracy: first.fineTuned.accuracy } : {}),
        updates: this.parts.store.accepted.length,
        differenceBytes: bytes,
      },
    };
    await aggregator.keep(artifact.sha256, moments);
    await registry.add(artifact, about, difference);
    await aggregator.prune(artifact.sha256);
    this.#current = artifact;
    return difference.payload;
  }

  /** True once every online edge has reported on the last version, or the wait is over. */
  #settled(): boolean {
    const settle = this.#settle;
    if (!settle) return true;
    const reported = this.parts.members.all
      .filter((m) => m.online)
      .every((m) => [m.reports.adopted, m.reports.kept].some((r) => r?.version === settle.version));
    if (!reported && Date.now() < settle.until) return false;
    clearTimeout(settle.timer);
    this.#settle = undefined;
    return true;
  }

  #armDeadline(at: number): void {
    clearTimeout(this.#deadline);
    if (this.#stopped) return;
    const left = Math.min(at - Date.now(), this.parts.config.rounds.deadlineSeconds * 1000);
    this.#deadline = setTimeout(() => this.advance(), Math.max(0, left) + 5);
  }
}
