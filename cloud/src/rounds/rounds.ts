import { stat } from 'node:fs/promises';
import { type RoundMessage, type UpdateHeader, warmedUp } from '@ecavg/protocol';
import { ConfigError, type Logger, type SerialQueue } from '@ecavg/runtime';
import { leastUpdates } from '../aggregation/chosen.js';
import type { StrategyConfig } from '../aggregation/config.js';
import type { SelectionConfig } from '../fleet/config.js';
import type { EdgeRecords } from '../fleet/edgeRecords.js';
import type { EventLog } from '../fleet/events.js';
import type { Members } from '../fleet/members.js';
import { selectEdges, wantedCount } from '../fleet/selection.js';
import { type CodecConfig, codecOptions } from '../inbox/config.js';
import type { RoundState, RoundStore } from '../inbox/roundStore.js';
import type { Aggregator } from '../judging/aggregator.js';
import type { Calibration } from '../judging/calibration.js';
import type { GuardConfig } from '../judging/config.js';
import { chosenScore, Guard, type Verdict } from '../judging/guard.js';
import type { Judge } from '../judging/judge.js';
import type { ModelConfig } from '../versions/config.js';
import type { ControlRequest } from '../versions/controlBox.js';
import type { Publisher } from '../versions/publisher.js';
import type { Registry } from '../versions/registry.js';
import type { Releases } from '../versions/releases.js';
import type { RoundsConfig } from './config.js';
import type { History, RoundRecord } from './history.js';
import { roundFigures, roundRecord } from './telemetryPoints.js';

/** The sections of the settings that rounds need. */
export interface RoundSettings {
  readonly model: ModelConfig;
  readonly rounds: RoundsConfig;
  readonly selection: SelectionConfig;
  readonly strategy: StrategyConfig;
  readonly codec: CodecConfig;
  readonly guard: GuardConfig;
}

export interface RoundParts {
  readonly config: RoundSettings;
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly judge: Judge;
  readonly aggregator: Aggregator;
  readonly publisher: Publisher;
  readonly releases: Releases;
  readonly members: Members;
  readonly records: EdgeRecords;
  readonly history: History;
  readonly events: EventLog;
  readonly log: Logger;
  /** Where edges share activations: tunes heads on them. */
  readonly calibration: Calibration | undefined;
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

/**
 * Rounds: open -> collect -> average, fine-tune, judge -> register and publish -> wait for the edges' reports -> next.
 * A synchronous round collects until everyone asked has answered, the wanted number has, or a quorum at the deadline; an
 * asynchronous one until its buffer is full. Every step runs on one queue, and the phase on disk says where to go on after a crash.
 */
export class RoundManager {
  readonly #guard: Guard;
  #deadline: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #interval: NodeJS.Timeout | undefined;
  #finished = false;
  /** Edges that said since the last round opened that their data is not what it was. */
  readonly #drifted = new Set<string>();
  #stopped = false;

  constructor(
    private readonly parts: RoundParts,
    readonly queue: SerialQueue,
  ) {
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
    // A crash came between a rollback and the end of the round that it gave up.
    if (state?.phase === 'open' && this.parts.registry.staleness(state.base.sha256) !== 0) await this.#cancel();
    else if (state?.phase === 'open') {
      await this.#announce(state);
      this.#armDeadline(state.deadlineAt);
    }
    await this.#resume();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.parts.releases.stop();
    clearTimeout(this.#deadline);
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

  /** An edge asks for a round: its data is not what the model was trained on. */
  drifted(edge: string): void {
    this.#drifted.add(edge);
    this.advance();
  }

  /** Rolls back, pins or lets go; what was collected for an open round is given up, as its base is no longer in force. */
  control({ action, version }: ControlRequest): Promise<string> {
    return this.queue.run(async () => {
      const { registry, events } = this.parts;
      if (action === 'unpin') {
        await registry.pin(null);
        events.emit('pinned', { version: null });
        this.advance();
        return 'rounds go on';
      }
      const target = version ?? (action === 'pin' ? registry.head?.version : registry.previous?.version);
      if (target === undefined) throw new ConfigError('there is no earlier version to go back to');
      const wanted = registry.versions.find((v) => v.version === target);
      const same = wanted?.sha256 === registry.head?.sha256 && !registry.canary;
      if (action === 'rollback' && same) throw new ConfigError(`version ${target} is in force already`);
      const now = same ? registry.head : await this.#replace(target);
      if (action === 'pin') {
        await registry.pin(now?.version ?? target);
        events.emit('pinned', { version: now?.version ?? target });
        await this.#cancel();
      }
      this.advance();
      const what = same ? `version ${target}` : `version ${now?.version}, with the weights of version ${target},`;
      return `${what} is in force${action === 'pin' ? ' and pinned: no round opens until "ecavg cloud unpin"' : ''}`;
    });
  }

  async #replace(target: number): Promise<{ version: number }> {
    const version = await this.parts.releases.restore(target);
    await this.#cancel();
    return version;
  }

  /** Ends an open round without a result. */
  async #cancel(): Promise<void> {
    const { store, events, log } = this.parts;
    const state = store.state;
    if (!state || state.phase === 'done') return;
    clearTimeout(this.#deadline);
    const given = store.accepted.map((a) => a.header.edge);
    await store.finish();
    await this.#announce({ ...state, phase: 'done' });
    log.warn({ round: state.round, given }, 'round cancelled');
    events.emit('round-cancelled', { round: state.round, accepted: given });
  }

  /** Does the next thing that the phase on disk and the edges call for. */
  async #resume(): Promise<void> {
    if (this.#stopped) return;
    const { store, registry, members, config, releases } = this.parts;
    const state = store.state;
    if (state?.phase === 'open') {
      if (!(await this.#complete(state))) return;
      await this.#close(state);
    } else if (state?.phase === 'closing' && registry.newest?.round === state.round) {
      // A crash came after the version was registered; only the end of the round is left to write.
      await store.finish();
    } else if (state?.phase === 'closing') await this.#close(state);
    const round = (store.state?.round ?? 0) + 1;
    if (!(await releases.settled()) || registry.pinned !== null) return;
    if (!(await this.#calibrated())) return;
    if (config.rounds.count > 0 && round > config.rounds.count) {
      if (!this.#finished) this.parts.events.emit('finished', { rounds: config.rounds.count });
      this.#finished = true;
      return;
    }
    const { driftEdges } = config.rounds;
    const hurry = driftEdges > 0 && this.#drifted.size >= driftEdges;
    const interval = hurry ? 0 : config.rounds.intervalSeconds * 1000;
    const wait = Math.min(interval, (store.state?.openedAt ?? 0) + interval - Date.now());
    clearTimeout(this.#interval);
    if (wait > 0) this.#interval = setTimeout(() => this.advance(), wait + 5);
    else if (members.online.length >= config.rounds.minEdges) await this.#open(round);
  }

  /** False while shared activations are waited for, or have made a version that has to settle. */
  async #calibrated(): Promise<boolean> {
    const { calibration } = this.parts;
    const wait = (await calibration?.wait()) ?? 0;
    if (wait > 0) {
      clearTimeout(this.#interval);
      this.#interval = setTimeout(() => this.advance(), wait + 5);
      return false;
    }
    if (!(await calibration?.run())) return true;
    this.advance();
    return false;
  }

  async #complete(state: RoundState): Promise<boolean> {
    const { store, members, events, log } = this.parts;
    const accepted = store.accepted.length;
    const { rounds, strategy } = this.parts.config;
    const least = leastUpdates(strategy);
    const overdue = this.#overdue(state);
    const wanted = Math.max(least, state.wanted ?? state.participants.length);
    const needed = rounds.mode === 'async' ? least : Math.max(least, Math.ceil(rounds.quorum * wanted));
    const has = new Set(store.accepted.map((a) => a.header.edge));
    const waiting = state.participants.filter((e) => members.isOnline(e) && !has.has(e));
    const nobodyLeft = rounds.mode === 'sync' && waiting.length === 0;
    if (accepted >= wanted || (accepted >= needed && (nobodyLeft || overdue))) {
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
    const { config, store, registry, members, records, events, log } = this.parts;
    const head = registry.head;
    if (!head) throw new Error('no version to open a round on');
    const now = Date.now();
    const { deadlineSeconds, pretrainEpochs, epochs, mode, buffer } = config.rounds;
    const { online } = members;
    const participants = selectEdges(online, records.all, config.selection, round, config.model.seed);
    const state: RoundState = {
      round,
      phase: 'open',
      base: { version: head.version, sha256: head.sha256 },
      openedAt: now,
      deadlineAt: now + deadlineSeconds * 1000,
      participants,
      wanted: mode === 'async' ? buffer : wantedCount(online.length, config.selection).wanted,
      selected: participants.length < online.length,
      epochs: head.parent === null ? pretrainEpochs : epochs,
    };
    await store.save(state);
    const drifted = [...this.#drifted];
    this.#drifted.clear();
    log.info({ round, base: head.version, participants: participants.length, online: online.length }, 'round opened');
    events.emit('round-opened', { round, base: head.version, participants, epochs: state.epochs, drifted });
    await this.#announce(state);
    this.#armDeadline(state.deadlineAt);
  }

  async #announce(state: RoundState): Promise<void> {
    const { config, publisher } = this.parts;
    const { learningRate, momentum, mode } = config.rounds;
    await publisher.round({
      model: config.model.id,
      round: state.round,
      state: state.phase === 'open' ? 'open' : 'closed',
      base: state.base,
      openedAt: state.openedAt,
      deadlineAt: state.deadlineAt,
      ...(state.selected && { participants: state.participants }),
      ...(mode === 'async' && { mode }),
      // Rounds and gateways are 1000 and 1 apart, so that no two visit samples in the same order.
      hyper: { epochs: state.epochs, learningRate, momentum, seed: config.model.seed * 1_000_000 + state.round * 1000 },
      codec: this.#codec(state.round),
    });
  }

  #codec(round: number): RoundMessage['codec'] {
    const { name, options } = codecOptions(this.parts.config.codec);
    return { name, options: warmedUp(options, round) };
  }

  async #close(open: RoundState): Promise<void> {
    const { store, registry, judge, events, log, config, aggregator, records, releases } = this.parts;
    clearTimeout(this.#deadline);
    const state: RoundState = { ...open, phase: 'closing' };
    await store.save(state);
    // Edges of an asynchronous round go on with what they are at.
    if (config.rounds.mode === 'sync') await this.#announce(state);
    const updates = store.accepted;
    const base = releases.current;
    const aggregate = await aggregator.aggregate(base, updates, {
      own: () => judge.ownDifference(base.weights, state.round),
      reliability: (edge) => records.reliability(edge),
      staleness: (sha256) => registry.staleness(sha256) ?? 0,
    });
    const verdict = await this.#guard.decide(base.weights, aggregate.weights, aggregate.parts, state.round);
    const headers = updates.map((u) => u.header);
    await records.closed(state, headers);
    if (verdict.weights) {
      const [first] = verdict.attempts;
      await releases.release({
        round: state.round,
        weights: verdict.weights,
        score: chosenScore(verdict),
        metrics: {
          previousAccuracy: verdict.previous.accuracy,
          averageAccuracy: first.average.accuracy,
          ...(first.fineTuned ? { fineTunedAccuracy: first.fineTuned.accuracy } : {}),
          updates: updates.length,
        },
        moments: aggregate.state,
      });
    }
    const version = registry.head?.version ?? 0;
    const seconds = (Date.now() - state.openedAt) / 1000;
    const outcome = { state, updates: headers, verdict, version, seconds };
    const figures = roundFigures(outcome);
    const sizes = await Promise.all(updates.map(async (u) => (await stat(u.path)).size));
    const bytes = sizes.reduce((a, n) => a + n, 0);
    await this.#remember(roundRecord(figures, bytes, 4 * base.layout.total * updates.length));
    await store.finish();
    this.parts.closed(outcome);
    const said = {
      ...figures,
      combiner: config.strategy.combiner,
      clipped: aggregate.combined.clipped,
      canary: registry.canary?.version ?? null,
    };
    log[verdict.weights ? 'info' : 'warn'](said, 'round closed');
    events.emit('round-closed', said);
  }

  /** What people read must not stop the rounds. */
  async #remember(record: RoundRecord): Promise<void> {
    try {
      await this.parts.history.closed(record);
    } catch (error) {
      this.parts.log.error({ err: error, round: record.round }, 'the round is missing in the history');
    }
  }

  #armDeadline(at: number): void {
    clearTimeout(this.#deadline);
    if (this.#stopped) return;
    const left = Math.min(at - Date.now(), this.parts.config.rounds.deadlineSeconds * 1000);
    this.#deadline = setTimeout(() => this.advance(), Math.max(0, left) + 5);
  }
}
