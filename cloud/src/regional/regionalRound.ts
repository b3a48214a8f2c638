import type { Artifact } from '@ecavg/models';
import { ProtocolError, type RoundMessage, type UpdateChunk } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { Members } from '../fleet/members.js';
import type { Accepted, RoundStore } from '../inbox/roundStore.js';
import type { RegionalConfig } from './config.js';
import type { PartialAggregate } from './upstreamStore.js';

/** A little later than a deadline it is surely over. */
const SLACK_MS = 5;

/** What there is to make a partial aggregate with. */
interface Base {
  readonly artifact: Artifact;
}

interface Parts<B extends Base> {
  readonly config: Pick<RegionalConfig, 'rounds'>;
  /** What the cloud calls this region. */
  readonly name: string;
  readonly store: RoundStore;
  readonly members: Members;
  readonly log: Logger;
  /** The cloud's newest round. */
  newest(): RoundMessage | undefined;
  /** The version that was passed on; undefined before the first. */
  serving(): B | undefined;
  /** Tells this region's edges. */
  announce(round: RoundMessage, state: 'open' | 'closed', deadlineAt: number): Promise<void>;
  /** The partial aggregate that waits for its receipt. */
  pending(): PartialAggregate | undefined;
  /** The last round whose partial aggregate has its receipt. */
  settledRound(): number;
  make(base: B, round: number, updates: readonly Accepted[]): Promise<PartialAggregate>;
  /** Keeps a partial aggregate until its receipt. */
  put(partial: PartialAggregate): Promise<void>;
  /** Runs `advance` as a step. */
  schedule(): void;
}

/** The round of a region: it opens and ends within the cloud's, and what it collects goes up as one update. */
export class RegionalRound<B extends Base> {
  #deadline: NodeJS.Timeout | undefined;

  constructor(private readonly parts: Parts<B>) {}

  /** @throws where this region does not want an update now. */
  admit({ round, base }: Pick<UpdateChunk, 'round' | 'base'>): void {
    const open = this.parts.store.state;
    if (open?.phase !== 'open' || open.round !== round)
      throw new ProtocolError('round-closed', `update for round ${round}, which is not open in this region`);
    if (open.base.sha256 !== base) throw new ProtocolError('base-mismatch', `update to base ${base.slice(0, 12)}`);
  }

  /** Looks whether anything was missed: a round that came before its version, a deadline. */
  async look(): Promise<void> {
    const { store, newest } = this.parts;
    const round = newest();
    if (round?.state === 'open' && store.state?.round !== round.round) await this.heard(round);
    else await this.advance();
  }

  /** The cloud's round opened, or closed; or the version came that it wants. */
  async heard(round: RoundMessage): Promise<void> {
    const { store, log, members, name, config, announce, pending } = this.parts;
    const serving = this.parts.serving();
    if (!serving) return;
    const state = store.state;
    const mine = !round.participants || round.participants.includes(name);
    const open = round.state === 'open' && mine && round.base.sha256 === serving.artifact.sha256;
    if (state && state.phase !== 'done' && (state.round !== round.round || round.state === 'closed')) {
      log.warn({ round: state.round }, 'the cloud has closed the round');
      this.stop();
      await store.finish();
      await announce(round, 'closed', state.deadlineAt);
    }
    if (!open || pending()?.round === round.round || (store.state?.round ?? 0) > round.round) return;
    if (store.state?.round === round.round && store.state.phase === 'done') return;
    const now = Date.now();
    // The cloud's clock may be off: its round's length counts, from when the message came.
    const length = Math.max(0, round.deadlineAt - round.openedAt) * config.rounds.deadlineShare;
    const deadlineAt = store.state?.round === round.round ? store.state.deadlineAt : now + length;
    if (store.state?.round !== round.round) {
      const participants = members.online;
      const { base, hyper } = round;
      const shared = { selected: false, epochs: hyper.epochs };
      await store.save({ round: round.round, phase: 'open', base, openedAt: now, deadlineAt, participants, ...shared });
    }
    log.info({ round: round.round, online: members.online.length }, 'round opened');
    await announce(round, 'open', deadlineAt);
    this.stop();
    this.#deadline = setTimeout(() => this.parts.schedule(), Math.max(0, deadlineAt - now) + SLACK_MS);
    await this.advance();
  }

  /** Closes the region's round where everybody has answered, or at its deadline. */
  async advance(): Promise<void> {
    const { store, config, log, newest, announce, make, put } = this.parts;
    const serving = this.parts.serving();
    const { state } = store;
    if (!serving || !state || state.phase === 'done') return;
    // A crash came after the partial aggregate was stored: only the end of the round is left to write.
    if (state.phase === 'closing' && this.#made(state.round)) return store.finish();
    // What an earlier one could not bring goes into this one, and is known with its receipt.
    if (this.parts.pending() || state.base.sha256 !== serving.artifact.sha256) return;
    const accepted = store.accepted.length;
    const waiting = this.#waiting(state.participants);
    if (accepted === 0 || (waiting.length > 0 && Date.now() < state.deadlineAt)) return;
    if (accepted < config.rounds.quorum * state.participants.length)
      log.warn({ round: state.round, accepted, waiting }, 'fewer updates than wanted');
    this.stop();
    const round = newest();
    await store.save({ ...state, phase: 'closing' });
    if (round?.round === state.round) await announce(round, 'closed', state.deadlineAt);
    const partial = await make(serving, state.round, store.accepted);
    await put(partial);
    await store.finish();
    log.info({ round: state.round, edges: accepted, bytes: partial.blob.length }, 'sent a partial aggregate');
  }

  /** Ends the wait for a deadline. */
  stop(): void {
    clearTimeout(this.#deadline);
  }

  /** Whether the partial aggregate of a round was made: it waits, or has its receipt. */
  #made(round: number): boolean {
    return this.parts.pending()?.round === round || this.parts.settledRound() >= round;
  }

  /** Edges whose updates may still come. */
  #waiting(participants: readonly string[]): string[] {
    const { store, members } = this.parts;
    const has = new Set(store.accepted.map((a) => a.header.edge));
    // Of those who were there at the opening some may not have been heard of yet, after a restart.
    const expected = new Set([...members.online, ...participants.filter((e) => !members.knows(e))]);
    return [...expected].filter((e) => !has.has(e));
  }
}
