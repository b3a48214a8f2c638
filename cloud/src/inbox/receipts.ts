import {
  encodeMessage,
  ProtocolError,
  type Receipt,
  type RejectReason,
  refusalCode,
  replyAddress,
  type Topics,
} from '@ecavg/protocol';
import type { Logger, MqttClient } from '@ecavg/runtime';

/** Bytes and messages of updates received, and refusals by reason, since the start. */
export interface InboxCounters {
  messages: number;
  bytes: number;
  rejected: Partial<Record<RejectReason, number>>;
}

/** A refusal. */
export interface Refused {
  /** Undefined where the topic names none. */
  readonly edge: string | undefined;
  readonly reason: RejectReason;
  readonly detail: string;
  /** Refusals for this reason since the start. */
  readonly total: number;
}

export interface ReceiptParts {
  readonly topics: Topics;
  readonly client: MqttClient;
  readonly log: Logger;
  /** Called for every refusal. */
  refused?(refusal: Refused): void;
}

/** Answers edges on their receipt topics; counts and logs what is refused. */
export class Receipts {
  readonly counters: InboxCounters = { messages: 0, bytes: 0, rejected: {} };

  constructor(private readonly parts: ReceiptParts) {}

  get topics(): Topics {
    return this.parts.topics;
  }

  answer(edge: string, model: string, receipt: Omit<Receipt, 'v' | 'type'>): void {
    const { client, topics, log } = this.parts;
    const payload = Buffer.from(encodeMessage('receipt', receipt));
    client.publish(topics.receipt(edge, model), payload, { qos: 1 }, (error) => {
      if (error) log.debug({ err: error, edge }, 'receipt not delivered; the edge will ask again');
    });
  }

  /**
   * Counts, logs and answers a message that can't be used.
   * @param chunk what came, as far as it could be read. @param model to answer to, where the topic names none.
   */
  reject(
    topic: string,
    error: unknown,
    chunk?: { readonly id: string; readonly round?: number },
    model?: string,
  ): void {
    const { topics, log } = this.parts;
    const { rejected } = this.counters;
    const reason: RejectReason = error instanceof ProtocolError ? error.reason : 'storage';
    const detail = (error as Error).message.slice(0, 500);
    const to = replyAddress(topics, topic);
    const total = (rejected[reason] ?? 0) + 1;
    rejected[reason] = total;
    log.warn({ topic: topic.slice(0, 200), reason, detail, id: chunk?.id }, 'message rejected');
    this.parts.refused?.({ edge: to?.edge, reason, detail, total });
    if (to)
      this.answer(to.edge, model ?? to.model, {
        id: chunk?.id ?? null,
        status: 'rejected',
        round: chunk?.round ?? null,
        reason,
        code: refusalCode(reason),
        detail,
      });
  }
}
