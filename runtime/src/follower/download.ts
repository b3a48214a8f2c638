import { BlobAssembler, type BlobRef, chunkCount, ProtocolError, type Topics } from '@ecavg/protocol';
import type { Logger } from '../logger.js';
import type { MqttClient } from '../mqtt.js';

/** A model larger than this is refused before memory is set aside for it. */
const MAX_BLOB_BYTES = 1 << 30;

/** Up to so many chunks are asked for one by one after an interruption (AWS IoT: 8 filters a request, 50 a connection). */
const FEW = 8;

interface Transfer {
  readonly assembler: BlobAssembler;
  /** Subscriptions of its chunks. */
  topics: string[];
  done(): void;
  fail(error: Error): void;
}

/** Fetches published blobs: subscribes to their retained chunks, verifies the sha256, unsubscribes. */
export class Downloader {
  readonly #transfers = new Map<string, Transfer>();
  /** Bytes of chunks received, repeats included. */
  bytes = 0;

  constructor(
    private readonly client: MqttClient,
    private readonly topics: Topics,
    private readonly model: string,
    private readonly log: Logger,
  ) {}

  /** Resolves with the verified blob; waits as long as it takes, until `signal` aborts. */
  async fetch(ref: BlobRef, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    if (ref.size > MAX_BLOB_BYTES)
      throw new ProtocolError('too-large', `blob of ${ref.size} bytes; the limit is ${MAX_BLOB_BYTES}`);
    const assembler = new BlobAssembler(ref);
    const topic = this.topics.chunk(this.model, ref.sha256, '+');
    const prefix = topic.slice(0, -1);
    try {
      await new Promise<void>((done, fail) => {
        this.#transfers.set(prefix, { assembler, topics: [topic], done, fail });
        signal.addEventListener('abort', () => fail(signal.reason as Error), { once: true });
        this.#subscribe([topic]);
      });
    } finally {
      const topics = this.#transfers.get(prefix)?.topics ?? [topic];
      this.#transfers.delete(prefix);
      if (this.client.connected) this.client.unsubscribe(topics);
    }
    return assembler.finish();
  }

  /** After a reconnect the subscriptions are gone. Those of the chunks that are missing, where few are, spare the others. */
  resume(): void {
    for (const [prefix, t] of this.#transfers) {
      const missing = t.assembler.missing();
      const few = missing.length <= Math.min(FEW, chunkCount(t.assembler.ref) / 2);
      t.topics = few ? missing.map((i) => `${prefix}${i}`) : [`${prefix}+`];
      this.#subscribe(t.topics);
    }
  }

  /** Takes a message on a chunk topic; false where it is none. */
  accept(topic: string, payload: Uint8Array): boolean {
    const at = topic.lastIndexOf('/') + 1;
    const transfer = this.#transfers.get(topic.slice(0, at));
    if (!transfer) return topic.includes('/chunk/');
    this.bytes += payload.length;
    const index = Number(topic.slice(at));
    try {
      if (!Number.isInteger(index) || index < 0)
        throw new ProtocolError('chunk-conflict', `chunk topic ends in ${topic.slice(at)}`);
      transfer.assembler.add(index, payload);
      if (transfer.assembler.complete) transfer.done();
    } catch (error) {
      transfer.fail(error as Error);
    }
    return true;
  }

  #subscribe(topics: string[]): void {
    this.client.subscribe(topics, { qos: 1 }, (error) => {
      if (error) this.log.debug({ err: error, topics }, 'subscription will be tried again after reconnecting');
    });
  }
}
