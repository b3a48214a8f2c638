import type { Receipt } from '@ecavg/protocol';
import type { Logger } from '../logger.js';
import type { Names } from './identity.js';
import type { Sender } from './sender.js';

/** Refusals of a sound update: what it carried goes into the next one by error feedback. */
const GIVE_BACK: ReadonlySet<string> = new Set(['round-closed', 'base-mismatch', 'duplicate', 'reference-mismatch']);

/** What the next update carries on: what coding lost of this one, all of it, or nothing. */
export type Outcome = 'accepted' | 'given-back' | 'dropped';

/** An update that waits for its receipt; who makes it may keep more of it. */
export interface OutboxEntry {
  /** sha256 of `blob`. */
  readonly id: string;
  readonly round: number;
  /** sha256 of the version that it was made from. */
  readonly base: string;
  readonly blob: Uint8Array;
}

/** Where the update lies that waits. Everything is on disk when a call returns. */
export interface OutboxStore<E extends OutboxEntry> {
  load(): Promise<E | undefined>;
  save(entry: E): Promise<void>;
  /** Ends an entry. What is carried on is written first: a crash in between sends the update again, and ends it again. */
  settle(entry: E, outcome: Outcome): Promise<void>;
}

interface OutboxParts<E extends OutboxEntry> {
  readonly names: Names;
  readonly topic: string;
  readonly sender: Sender;
  readonly store: OutboxStore<E>;
  readonly log: Logger;
  /** The same update without reference to an earlier one, which the cloud has lost; undefined where that can't be made. */
  encodeAgain(entry: E): Promise<E | undefined>;
}

/** The one update that waits for its receipt: it is kept on disk, and sent until the cloud has said what becomes of it. */
export class Outbox<E extends OutboxEntry> {
  #entry: E | undefined;

  constructor(private readonly parts: OutboxParts<E>) {}

  /** Takes up what the last run left. */
  async open(): Promise<void> {
    this.#entry = await this.parts.store.load();
  }

  /** The update that waits. */
  get pending(): E | undefined {
    return this.#entry;
  }

  async put(entry: E): Promise<void> {
    await this.parts.store.save(entry);
    this.#entry = entry;
    this.resume();
  }

  /** Sends again what waits. */
  resume(): void {
    const entry = this.#entry;
    if (!entry) return;
    const { names, topic, sender } = this.parts;
    const about = { edge: names.edge, model: names.model, round: entry.round, base: entry.base };
    sender.start({ id: entry.id, blob: entry.blob, type: 'update', topic, about });
  }

  concerns({ id }: Receipt): boolean {
    return id !== null && id === this.#entry?.id;
  }

  /** Takes a receipt that concerns the update; true where `settle` has to follow. */
  answered(receipt: Receipt): boolean {
    return this.parts.sender.answered(receipt);
  }

  /** Ends the update by its receipt. Undefined where it is still on its way: it was coded again, or another receipt ended it. */
  async settle(receipt: Receipt): Promise<{ entry: E; outcome: Outcome } | undefined> {
    const { store, sender, log, encodeAgain } = this.parts;
    const entry = this.#entry;
    if (!entry || !this.concerns(receipt)) return undefined;
    const { status, reason = '', detail } = receipt;
    const { round, id } = entry;
    if (reason === 'reference-mismatch') {
      const again = await encodeAgain(entry);
      if (again) {
        await this.put(again);
        log.info({ round, bytes: again.blob.length }, 'the update was coded again without a reference');
        return undefined;
      }
    }
    const outcome = status === 'accepted' ? 'accepted' : GIVE_BACK.has(reason) ? 'given-back' : 'dropped';
    if (outcome === 'accepted') log.info({ round, id }, 'update accepted');
    else log.warn({ round, reason, detail }, 'update rejected');
    await store.settle(entry, outcome);
    sender.done();
    this.#entry = undefined;
    return { entry, outcome };
  }
}
