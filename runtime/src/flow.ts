import { CodedError } from '@ecavg/protocol/errors';
import type { IClientPublishOptions, MqttClient } from 'mqtt';

/** What may be on its way to the broker without its acknowledgement. */
export interface FlowLimits {
  readonly inFlightBytes: number;
  readonly inFlightMessages: number;
}

interface Waiting {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly options: IClientPublishOptions;
  done(): void;
  fail(error: Error): void;
}

/**
 * Publishes QoS 1 messages, never more at once than the limits and the broker's receive maximum (MQTT 5) allow: brokers
 * close connections, or drop messages, past theirs. A message larger than the byte limit goes alone. Order is kept.
 */
export class Flow {
  readonly #queue: Waiting[] = [];
  #bytes = 0;
  #messages = 0;
  #receiveMaximum = Number.POSITIVE_INFINITY;
  #maximumPacket = Number.POSITIVE_INFINITY;

  constructor(
    private readonly client: MqttClient,
    private readonly limits: FlowLimits,
  ) {
    client.on('connect', ({ properties }) => {
      this.#receiveMaximum = properties?.receiveMaximum ?? Number.POSITIVE_INFINITY;
      this.#maximumPacket = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  /** Largest packet that the broker says it takes, bytes; infinity where it says nothing. */
  get maximumPacket(): number {
    return this.#maximumPacket;
  }

  /** Whether anything is queued or without acknowledgement. */
  get busy(): boolean {
    return this.#queue.length > 0 || this.#messages > 0;
  }

  /** Resolves with the broker's acknowledgement; rejects when it is dropped. */
  send(topic: string, payload: Uint8Array, options: Omit<IClientPublishOptions, 'qos'> = {}): Promise<void> {
    const mqtt5 = this.client.options.protocolVersion === 5;
    const { properties, ...rest } = options;
    const all: IClientPublishOptions = { ...rest, qos: 1, ...(mqtt5 && properties ? { properties } : {}) };
    return new Promise<void>((done, fail) => {
      this.#queue.push({ topic, payload, options: all, done, fail });
      this.#pump();
    });
  }

  /** Drops what was not handed to the connection yet. */
  clear(): void {
    for (const { fail } of this.#queue.splice(0)) fail(new CodedError('ECAVG_PROGRAM', 'dropped before it was sent'));
  }

  #pump(): void {
    for (;;) {
      const next = this.#queue[0];
      if (!next || !this.client.connected || !this.#fits(next.payload.length)) return;
      this.#queue.shift();
      this.#bytes += next.payload.length;
      this.#messages++;
      const { topic, payload, options } = next;
      // A view, not a copy.
      const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      this.client.publish(topic, buffer, options, (error) => {
        this.#bytes -= payload.length;
        this.#messages--;
        if (error) next.fail(error);
        else next.done();
        this.#pump();
      });
    }
  }

  #fits(bytes: number): boolean {
    const most = Math.min(this.limits.inFlightMessages, this.#receiveMaximum);
    return this.#messages === 0 || (this.#messages < most && this.#bytes + bytes <= this.limits.inFlightBytes);
  }
}
