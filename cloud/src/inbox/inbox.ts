// Inbox: what edges send over MQTT (updates, shared samples, enrolments), checked, stored and answered; and the round on disk.
// It may touch the rooms aggregation, fleet and telemetry; who wants an update when, it is told.
import {
  decodeMessage,
  ProtocolError,
  parseEdgeTopic,
  type ShareChunk,
  type ShareHeader,
  type UpdateChunk,
  type UpdateHeader,
} from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { EdgeKeys } from '../fleet/edgeKeys.js';
import type { InboxCounters, Receipts } from './receipts.js';
import { BlobReceiver } from './receiver.js';
import { type ShareParts, shareKind } from './shares.js';
import { type UpdateParts, updateKind } from './updates.js';

export interface InboxParts {
  readonly receipts: Receipts;
  readonly keys: EdgeKeys;
  readonly log: Logger;
  readonly updates: Omit<UpdateParts, 'fleet' | 'keys'>;
  /** Left out: sites are asked for nothing. */
  readonly shares?: Omit<ShareParts, 'fleet' | 'model' | 'keys' | 'log'>;
}

/** Takes what edges send about one model, and refuses what it can't use: counted, logged, answered. */
export class Inbox {
  readonly #updates: BlobReceiver<UpdateChunk, UpdateHeader>;
  readonly #shares: BlobReceiver<ShareChunk, ShareHeader> | undefined;

  constructor(private readonly parts: InboxParts) {
    const { receipts, keys, log, updates, shares } = parts;
    const { fleet } = receipts.topics;
    const { model } = updates;
    this.#updates = new BlobReceiver(updateKind({ ...updates, fleet, keys }), receipts);
    this.#shares = shares && new BlobReceiver(shareKind({ ...shares, fleet, model, keys, log }), receipts);
  }

  get counters(): InboxCounters {
    return this.parts.receipts.counters;
  }

  /** Handles a chunk of an update. Never throws. */
  async update(topic: string, payload: Uint8Array): Promise<void> {
    this.counters.messages++;
    this.counters.bytes += payload.length;
    await this.#updates.take(topic, payload);
  }

  /** Handles a chunk of what a site shares. Never throws. */
  async share(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#shares) await this.#shares.take(topic, payload);
    else this.reject(topic, new ProtocolError('not-wanted', 'nothing is asked of sites here'));
  }

  /**
   * Handles a request to be known by a key; answered like an update, with `id: null`.
   * @throws ProtocolError for what is no such message.
   */
  async enrol(topic: string, payload: Uint8Array): Promise<void> {
    const { receipts, keys, log } = this.parts;
    const message = decodeMessage('enrol', payload);
    try {
      const address = parseEdgeTopic(receipts.topics, topic);
      if (message.edge !== address.edge)
        throw new ProtocolError('identity-mismatch', `edge ${message.edge} on the topic of ${address.edge}`);
      await keys.enrol(message);
    } catch (error) {
      // The topic names no model; the message says where its edge listens.
      return receipts.reject(topic, error, undefined, message.model);
    }
    log.info({ edge: message.edge, key: message.key.slice(0, 16) }, 'edge enrolled');
    receipts.answer(message.edge, message.model, { id: null, status: 'accepted', round: null });
  }

  /** Counts, logs and answers a message that can't be used. */
  reject(topic: string, error: unknown): void {
    this.parts.receipts.reject(topic, error);
  }
}
