import type { Layout } from '@ecavg/protocol';
import {
  codec,
  decodeMessage,
  decodeUpdate,
  encodeMessage,
  MAX_CHUNK_BYTES,
  ProtocolError,
  parseEdgeTopic,
  type Receipt,
  type RejectReason,
  replyAddress,
  type Topics,
  UpdateAssembler,
  type UpdateChunk,
  type UpdateHeader,
} from '@ecavg/protocol';
import type { Logger, MqttClient } from '@ecavg/runtime';
import type { EdgeKeys } from '../fleet/edgeKeys.js';
import type { RoundStore } from './roundStore.js';
import type { Slices } from './slices.js';

/** Room for an envelope around a chunk, and for a header and codec overhead around float32 values. */
const ENVELOPE_BYTES = 4096;
const UPDATE_SLACK = 128 * 1024;

export interface InboxHandlers {
  accepted(header: UpdateHeader, bytes: number): Promise<void>;
  rejected(edge: string | undefined, reason: RejectReason, detail: string): void;
}

/** Bytes and messages of updates received, and refusals by reason, since the start. */
export interface InboxCounters {
  messages: number;
  bytes: number;
  rejected: Partial<Record<RejectReason, number>>;
}

/** Receives updates: checks every message, stores what is sound, answers everything on the receipt topic. */
export class Inbox {
  readonly counters: InboxCounters = { messages: 0, bytes: 0, rejected: {} };
  readonly #assembler: UpdateAssembler;

  constructor(
    private readonly about: {
      readonly model: string;
      readonly topics: Topics;
      readonly layout: Layout;
      readonly slices: Slices;
      /** Throws where the cloud does not want this update now. */
      admit(chunk: UpdateChunk): void;
      /** Whether edges code their updates in the light of the one before. */
      readonly temporal: boolean;
    },
    private readonly store: RoundStore,
    private readonly keys: EdgeKeys,
    private readonly client: MqttClient,
    private readonly handlers: InboxHandlers,
    private readonly log: Logger,
  ) {
    this.#assembler = new UpdateAssembler(about.layout.total * 4 + UPDATE_SLACK);
  }

  get topics(): Topics {
    return this.about.topics;
  }

  /** Handles a message on an update topic. Never throws: a bad message is counted, logged and answered. */
  async take(topic: string, payload: Uint8Array): Promise<void> {
    let chunk: UpdateChunk | undefined;
    this.counters.messages++;
    this.counters.bytes += payload.length;
    try {
      chunk = decodeMessage('update', payload, MAX_CHUNK_BYTES + ENVELOPE_BYTES);
      await this.#chunk(topic, chunk);
    } catch (error) {
      this.reject(topic, error, chunk);
    }
  }

  /** Handles a request to be known by a key; answered like an update, with `id: null`. */
  async enrol(topic: string, payload: Uint8Array): Promise<void> {
    const message = decodeMessage('enrol', payload);
    try {
      const address = parseEdgeTopic(this.about.topics, topic);
      if (message.edge !== address.edge)
        throw new ProtocolError('identity-mismatch', `edge ${message.edge} on the topic of ${address.edge}`);
      await this.keys.enrol(message);
    } catch (error) {
      // The topic names no model; the message says where its edge listens.
      return this.reject(topic, error, undefined, message.model);
    }
    this.log.info({ edge: message.edge, key: message.key.slice(0, 16) }, 'edge enrolled');
    this.answer(message.edge, message.model, { id: null, status: 'accepted', round: null });
  }

  /** Counts, logs and answers a message that can't be used. */
  reject(
    topic: string,
    error: unknown,
    chunk?: { readonly id: string; readonly round?: number },
    model?: string,
  ): void {
    const reason: RejectReason = error instanceof ProtocolError ? error.reason : 'storage';
    const detail = (error as Error).message.slice(0, 500);
    const to = replyAddress(this.about.topics, topic);
    this.counters.rejected[reason] = (this.counters.rejected[reason] ?? 0) + 1;
    this.log.warn({ topic: topic.slice(0, 200), reason, detail, id: chunk?.id }, 'message rejected');
    this.handlers.rejected(to?.edge, reason, detail);
    if (to)
      this.answer(to.edge, model ?? to.model, {
        id: chunk?.id ?? null,
        status: 'rejected',
        round: chunk?.round ?? null,
        reason,
        detail,
      });
  }

  async #chunk(topic: string, chunk: UpdateChunk): Promise<void> {
    const address = parseEdgeTopic(this.about.topics, topic);
    if (address.kind !== 'update') throw new ProtocolError('unknown-topic', `${topic} carries no updates`);
    const { edge, model } = address;
    if (model !== this.about.model)
      throw new ProtocolError('unknown-model', `this cloud has no model ${model}; it has ${this.about.model}`);
    if (chunk.edge !== edge || chunk.model !== model) {
      throw new ProtocolError(
        'identity-mismatch',
        `an update of ${chunk.edge}/${chunk.model} on the topic of ${edge}/${model}`,
      );
    }
    const known = this.store.acceptedId(chunk.round, edge);
    if (known === chunk.id) {
      // The first chunk opens a transfer, the last one asks: either is answered, once is enough.
      if (chunk.index === 0 || chunk.index === chunk.count - 1)
        this.answer(edge, model, { id: known, status: 'accepted', round: chunk.round });
      return;
    }
    if (known) throw new ProtocolError('duplicate', `round ${chunk.round} already has update ${known} of ${edge}`);
    this.about.admit(chunk);
    const result = this.#assembler.add(chunk);
    if ('missing' in result) {
      // The last chunk has come and others have not: say which, instead of waiting for the edge to wonder.
      if (chunk.index === chunk.count - 1) {
        this.answer(edge, model, { id: chunk.id, status: 'missing', round: chunk.round, missing: result.missing });
      }
      return;
    }
    const header = await this.#checkUpdate(result.blob, chunk);
    await this.store.accept(chunk.id, header, result.blob);
    this.answer(edge, model, { id: chunk.id, status: 'accepted', round: chunk.round });
    await this.handlers.accepted(header, result.blob.length);
  }

  /** Checks the header against its envelope and decodes the payload once, so that averaging can't fail on it. */
  async #checkUpdate(blob: Uint8Array, chunk: UpdateChunk): Promise<UpdateHeader> {
    const { header, payload } = decodeUpdate(blob);
    const { topics, slices } = this.about;
    for (const field of ['edge', 'model', 'round', 'base'] as const) {
      if (header[field] !== chunk[field]) {
        throw new ProtocolError(
          'identity-mismatch',
          `the update's header says ${field} ${header[field]}, its envelope ${chunk[field]}`,
        );
      }
    }
    if (header.fleet !== topics.fleet)
      throw new ProtocolError('identity-mismatch', `an update of fleet ${header.fleet}`);
    const layout = header.width === undefined ? this.about.layout : (await slices.of(header.width)).layout;
    if (header.layout !== layout.hash) {
      throw new ProtocolError(
        'layout-mismatch',
        `tensor names or shapes differ: layout ${header.layout}, the model has ${layout.hash}`,
      );
    }
    await this.keys.check(header.edge, header.key);
    const coder = codec(header.codec);
    const { references } = this.store;
    const used = coder.referenceOf?.(payload);
    const reference = used ? await references.get(header.edge, used, layout.total) : undefined;
    if (coder.levels && this.about.temporal) {
      await references.put(header.edge, coder.levels(payload, layout, reference), used);
    } else coder.check(payload, layout, reference);
    return header;
  }

  /** Answers an edge on its receipt topic. */
  answer(edge: string, model: string, receipt: Omit<Receipt, 'v' | 'type'>): void {
    const payload = Buffer.from(encodeMessage('receipt', receipt));
    this.client.publish(this.about.topics.receipt(edge, model), payload, { qos: 1 }, (error) => {
      if (error) this.log.debug({ err: error, edge }, 'receipt not delivered; the edge will ask again');
    });
  }
}
