import { CodedError } from '@ecavg/protocol/errors';
import type { Logger, SerialQueue } from '@ecavg/runtime';
import { leastUpdates } from '../aggregation/chosen.js';
import type { StrategyConfig } from '../aggregation/config.js';
import type { SelectionConfig } from '../fleet/config.js';
import type { EdgeRecords } from '../fleet/edgeRecords.js';
import type { EventLog } from '../fleet/events.js';
import type { Members } from '../fleet/members.js';
import { selectEdges, wantedCount } from '../fleet/selection.js';
import type { RoundState, RoundStore } from '../inbox/roundStore.js';
import type { Registry } from '../versions/registry.js';
import type { Releases } from '../versions/releases.js';
import type { RoundsConfig } from './config.js';
import type { HeadTuning } from './headTuning.js';
import { standing } from './quorum.js';

/** The sections of the settings that decide when a round opens and closes. */
export interface RoundSettings {
  readonly model: { readonly seed: number };
  readonly rounds: RoundsConfig;
  readonly selection: SelectionConfig;
  readonly strategy: StrategyConfig;
}

export interface RoundParts {
  readonly config: RoundSettings;
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly releases: Releases;
  readonly members: Members;
  readonly records: EdgeRecords;
  readonly events: EventLog;
  readonly log: Logger;
  /** Where edges share activations: tunes heads on them. */
  readonly headTuning: HeadTuning | undefined;
  /** Where all of this runs, one step after another. */
  readonly queue: SerialQueue;
  /** Tells the edges how a round stands. */
  announce(state: RoundState): Promise<void>;
  /** Brings a complete round, or one that was interrupted while closing, to its end. */
  close(round: RoundState): Promise<void>;
}

const RETRY_MS = 5000;

/**
 * Decides when a round opens and when it closes; what is done with its updates then is in pipeline.ts. A round opens once the edges
 * have reported on the last version, the interval is over (or edges drifted) and enough of them are online.
 */
export class RoundManager {
  #deadline: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Until the next round may open. */
  #next: NodeJS.Timeout | undefined;
  #finished = false;
  /** Edges that said since the last round opened that their data is not what it was. */
  readonly #drifted = new Set<string>();
  #stopped = false;

  constructor(private readonly parts: RoundParts) {}

  /** Whether all rounds that the settings want are over. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Continues where the last run stopped. */
  async start(): Promise<void> {
    const { store, registry, log } = this.parts;
    const state = store.state;
    if (state && state.phase !== 'done') {
      log.info({ round: state.round, phase: state.phase, accepted: store.accepted.length }, 'going on with the round');
    }
    // A crash came between a rollback and the end of the round that it gave up.
    if (state?.phase === 'open' && registry.staleness(state.base.sha256) !== 0) await this.cancel();
    else if (state?.phase === 'open') {
      await this.parts.announce(state);
      this.#armDeadline(state.deadlineAt);
    }
    await this.#resume();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    clearTimeout(this.#next);
    await this.parts.queue.idle();
  }

  /**
   * Looks whether something is due; call it whenever an edge, an update or a report has come or gone. What
   * fails (a full disk, say) is logged and tried again: the phase on disk says from where.
   */
  advance(): void {
    const { queue, log } = this.parts;
    void queue.run(async () => {
      try {
        await this.#resume();
      } catch (error) {
        log.error({ err: error, retryMs: RETRY_MS }, 'the round can not go on; it will be tried again');
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

  /** Ends an open round without a result: its base is no longer in force. */
  async cancel(): Promise<void> {
    const { store, events, log } = this.parts;
    const state = store.state;
    if (!state || state.phase === 'done') return;
    clearTimeout(this.#deadline);
    const given = store.accepted.map((a) => a.header.edge);
    await store.finish();
    await this.parts.announce({ ...state, phase: 'done' });
    log.warn({ round: state.round, given }, 'round cancelled');
    events.emit('round-cancelled', { round: state.round, accepted: given });
  }

  /** Does the next thing that the phase on disk and the edges call for. */
  async #resume(): Promise<void> {
    if (this.#stopped) return;
    const { store, registry, config, releases } = this.parts;
    const state = store.state;
    if (state && state.phase !== 'done') {
      if (state.phase === 'open' && !(await this.#complete(state))) return;
      clearTimeout(this.#deadline);
      await this.parts.close(state);
    }
    const round = (store.state?.round ?? 0) + 1;
    const left = await releases.settle();
    if (left > 0) return this.#lookAgain(left);
    if (registry.pinned !== null || !(await this.#headTuned())) return;
    if (config.rounds.count > 0 && round > config.rounds.count) {
      if (!this.#finished) this.parts.events.emit('finished', { rounds: config.rounds.count });
      this.#finished = true;
      return;
    }
    await this.#openWhenDue(round);
  }

  /** False while shared activations are waited for, or have made a version that has to settle. */
  async #headTuned(): Promise<boolean> {
    const { headTuning } = this.parts;
    const wait = (await headTuning?.wait()) ?? 0;
    if (wait > 0) {
      this.#lookAgain(wait);
      return false;
    }
    if (!(await headTuning?.run())) return true;
    this.advance();
    return false;
  }

  async #openWhenDue(round: number): Promise<void> {
    const { store, members, config } = this.parts;
    const { driftEdges, intervalSeconds, minEdges } = config.rounds;
    const hurry = driftEdges > 0 && this.#drifted.size >= driftEdges;
    const interval = hurry ? 0 : intervalSeconds * 1000;
    const wait = Math.min(interval, (store.state?.openedAt ?? 0) + interval - Date.now());
    clearTimeout(this.#next);
    if (wait > 0) this.#lookAgain(wait);
    else if (members.online.length >= minEdges) await this.#open(round);
  }

  #lookAgain(ms: number): void {
    clearTimeout(this.#next);
    if (!this.#stopped) this.#next = setTimeout(() => this.advance(), ms + 5);
  }

  /** Whether an open round may close; at a deadline without a quorum it gets another one. */
  async #complete(state: RoundState): Promise<boolean> {
    const { store, members, events, log, config } = this.parts;
    const { rounds, strategy } = config;
    const { accepted, needed, waiting, complete, overdue } = standing(
      state,
      store.accepted.map((a) => a.header.edge),
      (edge) => members.isOnline(edge),
      { rules: { ...rounds, least: leastUpdates(strategy) }, now: Date.now() },
    );
    if (complete) {
      log.info({ round: state.round, accepted, needed, waiting }, 'closing the round');
      return true;
    }
    if (overdue) {
      const next = { ...state, deadlineAt: Date.now() + rounds.deadlineSeconds * 1000 };
      log.warn({ round: state.round, accepted, needed, waiting }, 'no quorum at the deadline: the round stays open');
      events.emit('deadline-extended', { round: state.round, accepted, needed });
      await store.save(next);
      await this.parts.announce(next);
      this.#armDeadline(next.deadlineAt);
    }
    return false;
  }

  async #open(round: number): Promise<void> {
    const { config, store, registry, members, records, events, log } = this.parts;
    const head = registry.head;
    if (!head) throw new CodedError('ECAVG_PROGRAM', 'no version to open a round on');
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
    await this.parts.announce(state);
    this.#armDeadline(state.deadlineAt);
  }

  #armDeadline(at: number): void {
    clearTimeout(this.#deadline);
    if (this.#stopped) return;
    const left = Math.min(at - Date.now(), this.parts.config.rounds.deadlineSeconds * 1000);
    this.#deadline = setTimeout(() => this.advance(), Math.max(0, left) + 5);
  }
}
