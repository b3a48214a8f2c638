import { type Artifact, ModelError } from '@ecavg/models';
import type { RoundMessage } from '@ecavg/protocol';
import { CodedError } from '@ecavg/protocol/errors';
import type { Logger } from '@ecavg/runtime';
import type { Governor } from '../power/governor.js';
import type { EdgeStore, OutboxEntry } from '../uplink/edgeStore.js';
import type { Values } from '../uplink/reports.js';
import type { Learner } from './learner.js';
import { outbox } from './pipeline.js';

interface Parts {
  /** Name of this gateway. */
  readonly edge: string;
  readonly learner: Pick<Learner, 'train'>;
  readonly governor: Pick<Governor, 'wait'>;
  readonly store: Pick<EdgeStore, 'memory'>;
  readonly data: { readonly ready: boolean };
  readonly log: Logger;
  /** The newest round, the version in hand, and whether an update still waits for its receipt. */
  now(): {
    readonly round: RoundMessage | undefined;
    readonly artifact: Artifact | undefined;
    readonly waits: boolean;
  };
  /** Bytes that the link carries in time; undefined before it was measured. */
  budget(round: RoundMessage): number | undefined;
  /** Keeps an update until its receipt. */
  put(entry: OutboxEntry): Promise<void>;
  trained(round: RoundMessage, values: Values): Promise<void>;
  /** Runs `begin` as a step. */
  schedule(): void;
  changed(): void;
}

type State =
  | { readonly kind: 'idle' }
  /** The governor lets it begin when the timer ends. */
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'running'; readonly round: number; readonly abort: AbortController };

/** This gateway's part in rounds: each is trained once, where it is asked to, from the version that the round names. */
export class RoundTraining {
  #state: State = { kind: 'idle' };
  /** Newest round that an update was made for. */
  #done = 0;

  constructor(private readonly parts: Parts) {}

  get running(): boolean {
    return this.#state.kind === 'running';
  }

  /** A round's message came: training for one that is over ends. */
  heard({ round, mode, state }: RoundMessage): void {
    const now = this.#state;
    const goesOn = mode === 'async' && state === 'open';
    if (now.kind !== 'running' || goesOn || (round === now.round && state === 'open')) return;
    now.abort.abort(new CodedError('ECAVG_STOPPED', `round ${now.round} is over`));
  }

  /** An update of this round was made, in this run or an earlier one. */
  answered(round: number): void {
    this.#done = Math.max(this.#done, round);
  }

  /** Trains for the open round, where that is due. */
  async begin(): Promise<void> {
    const { edge, governor, data } = this.parts;
    const { round, artifact, waits } = this.parts.now();
    if (round?.state !== 'open' || round.round <= this.#done || waits || !data.ready) return;
    if (round.participants && !round.participants.includes(edge)) return;
    if (artifact?.sha256 !== round.base.sha256) return;
    const waitMs = await governor.wait();
    this.#end();
    if (waitMs > 0) this.#state = { kind: 'waiting', timer: setTimeout(() => this.parts.schedule(), waitMs) };
    else await this.#train(round, artifact);
  }

  /** Ends training, or the wait for it. */
  stop(): void {
    if (this.#state.kind === 'running') this.#state.abort.abort(new CodedError('ECAVG_STOPPED', 'stopping'));
    else this.#end();
  }

  async #train(round: RoundMessage, artifact: Artifact): Promise<void> {
    const { learner, store, log, budget, put, trained, changed } = this.parts;
    const abort = new AbortController();
    this.#state = { kind: 'running', round: round.round, abort };
    changed();
    try {
      const update = await learner.train({
        artifact,
        round,
        memory: (length) => store.memory(length),
        budget: () => budget(round),
        signal: abort.signal,
      });
      await outbox(update, {
        put,
        done: () => this.answered(round.round),
        tell: (values) => {
          log.info({ round: round.round, ...values }, 'trained');
          return trained(round, values);
        },
      });
    } catch (error) {
      if (abort.signal.aborted) {
        log.info({ round: round.round }, 'stopped training: the round is over');
      } else if (error instanceof ModelError) {
        // Training again would end the same way.
        this.answered(round.round);
        log.error({ err: error, round: round.round, detail: error.message }, 'this gateway sits out the round');
      } else throw error;
    } finally {
      this.#end();
    }
  }

  #end(): void {
    if (this.#state.kind === 'waiting') clearTimeout(this.#state.timer);
    this.#state = { kind: 'idle' };
  }
}
