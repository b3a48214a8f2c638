import type { RoundMessage } from '@ecavg/protocol';
import type { OutboxEntry } from './edgeStore.js';

/** Share of what is left of a round that an update may take to send. */
const SHARE = 0.2;

/** How much a new measurement counts. */
const NEW = 0.5;

/** Measures the uplink from the edge's own updates, on a clock that nobody sets. */
export class LinkSpeed {
  #bytesPerSecond: number | undefined;
  #sending: { id: string; since: number } | undefined;
  #round: { number: number; endsAt: number } | undefined;

  /** A round's length is taken from its message, its start from when that came: the cloud's clock may be off. */
  opened({ round, openedAt, deadlineAt }: RoundMessage): void {
    if (this.#round?.number === round) return;
    this.#round = { number: round, endsAt: performance.now() + Math.max(0, deadlineAt - openedAt) };
  }

  /** Notes that an update is being sent for the first time. */
  sending({ id }: Pick<OutboxEntry, 'id'>): void {
    this.#sending = { id, since: performance.now() };
  }

  received({ id, blob }: OutboxEntry): void {
    if (this.#sending?.id !== id) return;
    const rate = blob.length / Math.max(1e-3, (performance.now() - this.#sending.since) / 1000);
    this.#bytesPerSecond = this.#bytesPerSecond === undefined ? rate : NEW * rate + (1 - NEW) * this.#bytesPerSecond;
  }

  /** Bytes that can be sent in a fifth of what is left of the round; undefined before the first measurement. */
  budget({ round }: RoundMessage): number | undefined {
    if (this.#bytesPerSecond === undefined || this.#round?.number !== round) return undefined;
    return (Math.max(0, this.#round.endsAt - performance.now()) / 1000) * this.#bytesPerSecond * SHARE;
  }
}
