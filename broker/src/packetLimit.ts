import type { Duplex } from 'node:stream';
import { CodedError } from '@ecavg/protocol/errors';

/**
 * Watches the fixed headers of what a client sends, and throws as soon as one announces a packet over the limit:
 * Aedes itself would gather the whole of it first.
 */
export class PacketLimit {
  /** Bytes of the current packet that are still to come. */
  #left = 0;
  /** Remaining length as far as it was read; -1 outside a fixed header. */
  #length = -1;
  #shift = 0;

  constructor(private readonly maxBytes: number) {}

  /** @throws Error where a packet is larger, or its length is no MQTT number. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, bytes.length - at);
        this.#left -= step;
        at += step;
      } else if (this.#length < 0) {
        this.#length = 0;
        this.#shift = 0;
        at++;
      } else {
        const byte = bytes[at++] as number;
        if (this.#shift > 21) throw new CodedError('ECAVG_BROKER_PACKET', 'a packet length of more than four bytes');
        this.#length += (byte & 127) * 2 ** this.#shift;
        this.#shift += 7;
        if (byte & 128) continue;
        if (this.#length > this.maxBytes)
          throw new CodedError(
            'ECAVG_BROKER_PACKET',
            `a packet of ${this.#length} bytes; the limit is ${this.maxBytes}`,
          );
        this.#left = this.#length;
        this.#length = -1;
      }
    }
  }
}

/** Puts the limit on a connection, whose reader it stays; `refused` is called once, before the connection is destroyed. */
export function limitPackets(conn: Duplex, maxBytes: number, refused: (error: Error) => void): void {
  const limit = new PacketLimit(maxBytes);
  const read = conn.read.bind(conn);
  conn.read = (size?: number): unknown => {
    const bytes: unknown = read(size);
    if (!(bytes instanceof Uint8Array)) return bytes;
    try {
      limit.feed(bytes);
      return bytes;
    } catch (error) {
      refused(error as Error);
      conn.destroy(error as Error);
      return null;
    }
  };
}
