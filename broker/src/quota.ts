import type { AsyncPersistence, StoredPacket } from 'ecavg-persistence';

export interface Quotas {
  /** Bytes of all retained payloads. */
  readonly retainedBytes: number;
  /** Messages and bytes that wait for one client. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
}

interface Queue {
  messages: number;
  bytes: number;
}

/** Counts what a persistence holds, so that it stays bounded. Wraps its methods in place. */
export class Quota {
  readonly #retained = new Map<string, number>();
  #retainedBytes = 0;
  readonly #queues = new Map<string, Queue>();
  /** Messages that were not queued, since the start. */
  dropped = 0;

  private constructor(
    private readonly store: AsyncPersistence,
    private readonly quotas: Quotas,
  ) {}

  static over(store: AsyncPersistence, quotas: Quotas): Quota {
    const quota = new Quota(store, quotas);
    quota.#wrap();
    return quota;
  }

  /** Reads what is retained; call it once the persistence is set up. */
  async count(): Promise<void> {
    for await (const { topic, payload } of this.store.createRetainedStreamCombi(['#', '$SYS/#']))
      this.#note(topic, payload.length);
  }

  get retained(): { messages: number; bytes: number } {
    return { messages: this.#retained.size, bytes: this.#retainedBytes };
  }

  get queued(): { messages: number; bytes: number } {
    const all = [...this.#queues.values()];
    return { messages: all.reduce((a, q) => a + q.messages, 0), bytes: all.reduce((a, q) => a + q.bytes, 0) };
  }

  /** Whether a retained message fits. */
  fits(topic: string, bytes: number): boolean {
    return this.#retainedBytes - (this.#retained.get(topic) ?? 0) + bytes <= this.quotas.retainedBytes;
  }

  #note(topic: string, bytes: number): void {
    this.#retainedBytes += bytes - (this.#retained.get(topic) ?? 0);
    if (bytes > 0) this.#retained.set(topic, bytes);
    else this.#retained.delete(topic);
  }

  #wrap(): void {
    const { store } = this;
    const storeRetained = store.storeRetained.bind(store);
    store.storeRetained = async (packet) => {
      await storeRetained(packet);
      this.#note(packet.topic, packet.payload.length);
    };
    const enqueue = store.outgoingEnqueueCombi.bind(store);
    store.outgoingEnqueueCombi = async (subs, packet) => {
      const room = [];
      for (const sub of subs) if (await this.#admit(sub.clientId, packet)) room.push(sub);
      if (room.length > 0) await enqueue(room, packet);
    };
    const update = store.outgoingUpdate.bind(store);
    store.outgoingUpdate = async (client, packet) => {
      try {
        await update(client, packet);
      } catch (error) {
        // Its subscription came into force after the message was queued for those who had one: it is queued now. Aedes would
        // close the connection otherwise.
        if (!packet.brokerId || !/no such packet/.test((error as Error).message)) throw error;
        await enqueue([{ clientId: client.id, topic: packet.topic, qos: packet.qos ?? 1 }], packet);
        await update(client, packet);
      }
    };
    const clear = store.outgoingClearMessageId.bind(store);
    store.outgoingClearMessageId = async (client, packet) => {
      const gone = await clear(client, packet);
      const queue = this.#queues.get(client.id);
      if (gone && queue) {
        queue.messages--;
        queue.bytes -= gone.payload?.length ?? 0;
        if (queue.messages <= 0) this.#queues.delete(client.id);
      }
      return gone;
    };
  }

  /** Whether a message may wait for a client; the newest is left out, as the older ones are on their way. */
  async #admit(clientId: string, { payload }: StoredPacket): Promise<boolean> {
    let queue = this.#queues.get(clientId);
    if (!queue) {
      queue = { messages: 0, bytes: 0 };
      this.#queues.set(clientId, queue);
      for await (const waiting of this.store.outgoingStream({ id: clientId })) {
        queue.messages++;
        queue.bytes += waiting.payload?.length ?? 0;
      }
    }
    const full =
      queue.messages + 1 > this.quotas.queuedMessages || queue.bytes + payload.length > this.quotas.queuedBytes;
    if (full) {
      this.dropped++;
      return false;
    }
    queue.messages++;
    queue.bytes += payload.length;
    return true;
  }
}
