import { chunksIn, type EdgeChunk, edgeChunks, encodeMessage, type Receipt } from '@ecavg/protocol';
import type { Flow } from '../flow.js';
import type { Logger } from '../logger.js';
import type { MqttClient } from '../mqtt.js';

/** MQTT 5: a broker need not keep the chunks of a blob for longer; its edge sends them again. */
const EXPIRY_SECONDS = 3600;

/** Refusals that the same blob, sent again, can survive. */
const RETRY_REASONS: ReadonlySet<string> = new Set([
  'crc-mismatch',
  'hash-mismatch',
  'chunk-conflict',
  'storage',
  'too-many-transfers',
  'unknown-edge',
  'bad-signature',
]);

/** A blob on its way to the cloud. */
export interface Outgoing {
  readonly id: string;
  readonly blob: Uint8Array;
  /** Message that carries its chunks, and what each of them says. */
  readonly type: 'update' | 'share';
  readonly topic: string;
  readonly about: Pick<EdgeChunk, 'edge' | 'model' | 'base' | 'round'>;
}

interface Means {
  readonly client: MqttClient;
  readonly flow: Flow;
  readonly chunkBytes: number;
  readonly resendSeconds: number;
  readonly log: Logger;
}

/**
 * Sends one blob until it is done with: whole the first time. After that it asks: the last chunk, sent again, is answered with the
 * receipt or with a bitmap of the chunks that are missing.
 */
export class Sender {
  #blob: Outgoing | undefined;
  #asked = false;
  #again: NodeJS.Timeout | undefined;

  constructor(
    private readonly means: Means,
    /** Called when a blob is sent for the first time. */
    private readonly first: (blob: Outgoing) => void = () => undefined,
  ) {}

  get pending(): Outgoing | undefined {
    return this.#blob;
  }

  start(blob: Outgoing): void {
    if (this.#blob?.id !== blob.id) this.#asked = false;
    this.#blob = blob;
    this.send();
  }

  /** Whether the receipt is for the blob that is being sent. */
  concerns({ id }: Receipt): boolean {
    return id !== null && id === this.#blob?.id;
  }

  /** Takes a receipt that concerns this blob; true where that is the end of it, false where the blob is still on its way. */
  answered(receipt: Receipt): boolean {
    const { type, about } = this.#blob ?? {};
    const { status, reason = '', detail } = receipt;
    if (status === 'missing') {
      this.send(receipt.missing ?? new Uint8Array());
      return false;
    }
    if (status === 'rejected' && RETRY_REASONS.has(reason)) {
      this.means.log.warn({ type, round: about?.round, reason, detail }, 'not taken; it will be sent again');
      return false;
    }
    return true;
  }

  done(): void {
    clearTimeout(this.#again);
    this.#blob = undefined;
  }

  /** @param missing of an answer; without it, the blob goes whole or is asked for. */
  send(missing?: Uint8Array): void {
    const { client, flow, chunkBytes, resendSeconds, log } = this.means;
    clearTimeout(this.#again);
    const blob = this.#blob;
    if (!blob) return;
    this.#again = setTimeout(() => this.send(), resendSeconds * 1000);
    if (!client.connected || (flow.busy && !missing)) return;
    const chunks = edgeChunks(blob.blob, blob.about, chunkBytes);
    if (!this.#asked) this.first(blob);
    const asked = this.#asked;
    this.#asked = true;
    const wanted = missing ? new Set(chunksIn(missing, chunks.length)) : undefined;
    const last = chunks.length - 1;
    const properties = { contentType: 'application/msgpack', messageExpiryInterval: EXPIRY_SECONDS };
    for (const chunk of chunks) {
      // The last one is always among those that are missing: with it comes the answer.
      if (chunk.index !== last && (wanted ? !wanted.has(chunk.index) : asked)) continue;
      // What kind of message it is decides which fields it has; the schema checks them.
      const message = encodeMessage(blob.type, chunk as Parameters<typeof encodeMessage<typeof blob.type>>[1]);
      flow.send(blob.topic, message, { properties }).catch((error: Error) => {
        log.debug({ err: error, chunk: chunk.index }, 'chunk not delivered; it will be asked for');
      });
    }
  }
}
