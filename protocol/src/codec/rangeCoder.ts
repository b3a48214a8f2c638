import { ProtocolError } from '../errors.js';

/*
 * Binary range coder with carry. The interval [low, low + range) narrows with each bit; a byte leaves at the top
 * when range falls below 2^23. `range` stays under 2^31, so that every product fits a signed 32-bit integer, which
 * JavaScript engines keep in a register.
 *
 * The probability that a bit is 0 is the mean of two estimators that move by 1/16 and 1/128 of the error: the
 * first learns in a few symbols, the second is precise.
 */
const FAST = 4;
const SLOW = 7;
const ONE = 1 << 16;
const RENORM = 1 << 23;
const START = 0x7fffffff;

/** `count` adaptive bits, each starting at probability 1/2. Encoder and decoder hold equal ones. */
export function bitModels(count: number): Uint16Array {
  return new Uint16Array(count * 2).fill(ONE >> 1);
}

/** Splits `range` by the model's probability of a 0: 15 bits, from 35 to 32,732. */
function split(range: number, models: Uint16Array, at: number): number {
  const p = ((models[at] as number) + (models[at + 1] as number)) >>> 2;
  return Math.imul(range >>> 15, p) + (Math.imul(range & 0x7fff, p) >>> 15);
}

function adapt(models: Uint16Array, at: number, bit: number): void {
  const a = models[at] as number;
  const b = models[at + 1] as number;
  if (bit) {
    models[at] = a - (a >>> FAST);
    models[at + 1] = b - (b >>> SLOW);
  } else {
    models[at] = a + ((ONE - a) >>> FAST);
    models[at + 1] = b + ((ONE - b) >>> SLOW);
  }
}

export class RangeEncoder {
  #bytes = new Uint8Array(1024);
  #length = 0;
  /** Below 2^32 but for a carry in bit 32. */
  #low = 0;
  #range = START;
  /** The last byte, held back for a carry, and how many 255 follow it. */
  #held = -1;
  #pending = 0;

  /** Codes a bit with model number `model`, and lets the model learn it. */
  bit(models: Uint16Array, model: number, bit: number): void {
    const at = model << 1;
    const bound = split(this.#range, models, at);
    if (bit) {
      this.#low += bound;
      this.#range -= bound;
    } else this.#range = bound;
    adapt(models, at, bit);
    while (this.#range < RENORM) this.#shift();
  }

  /** Codes the low `count` bits of `value` (count at most 32), all values equally likely. */
  direct(value: number, count: number): void {
    for (let left = count; left > 0; ) {
      const bits = left > 8 ? 8 : left;
      left -= bits;
      this.#range >>>= bits;
      this.#low += ((value >>> left) & ((1 << bits) - 1)) * this.#range;
      while (this.#range < RENORM) this.#shift();
    }
  }

  /** The bytes, of which the decoder reads every one. */
  finish(): Uint8Array {
    for (let i = 0; i < 5; i++) this.#shift();
    return this.#bytes.slice(0, this.#length);
  }

  #shift(): void {
    const carry = this.#low >= 2 ** 32 ? 1 : 0;
    const low = this.#low - carry * 2 ** 32;
    const top = Math.floor(low / 2 ** 24);
    if (top === 255 && carry === 0) this.#pending++;
    else {
      if (this.#held >= 0) this.#put(this.#held + carry);
      for (; this.#pending > 0; this.#pending--) this.#put(carry ? 0 : 255);
      this.#held = top;
    }
    this.#low = (low % 2 ** 24) * 256;
    this.#range *= 256;
  }

  #put(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#length++] = byte;
  }
}

export class RangeDecoder {
  #at: number;
  #code = 0;
  #range = START;

  /** Reads `bytes` from `start`. */
  constructor(
    private readonly bytes: Uint8Array,
    start = 0,
  ) {
    this.#at = start;
    for (let i = 0; i < 4; i++) this.#code = ((this.#code << 8) | this.#byte()) >>> 0;
    if (this.#code >= START) throw new ProtocolError('payload', 'range-coded stream begins out of range');
  }

  bit(models: Uint16Array, model: number): number {
    const at = model << 1;
    const bound = split(this.#range, models, at);
    const a = models[at] as number;
    const b = models[at + 1] as number;
    let bit: number;
    if (this.#code < bound) {
      this.#range = bound;
      models[at] = a + ((ONE - a) >>> FAST);
      models[at + 1] = b + ((ONE - b) >>> SLOW);
      bit = 0;
    } else {
      this.#code -= bound;
      this.#range -= bound;
      models[at] = a - (a >>> FAST);
      models[at + 1] = b - (b >>> SLOW);
      bit = 1;
    }
    while (this.#range < RENORM) {
      this.#range <<= 8;
      this.#code = (this.#code << 8) | this.#byte();
    }
    return bit;
  }

  direct(count: number): number {
    let value = 0;
    for (let left = count; left > 0; ) {
      const bits = left > 8 ? 8 : left;
      left -= bits;
      this.#range >>>= bits;
      const part = (this.#code / this.#range) | 0;
      // What the encoder never writes: the remainder of the division.
      if (part >= 1 << bits) throw new ProtocolError('payload', 'range-coded stream out of range');
      this.#code -= part * this.#range;
      value = ((value << bits) | part) >>> 0;
      while (this.#range < RENORM) {
        this.#range <<= 8;
        this.#code = (this.#code << 8) | this.#byte();
      }
    }
    return value;
  }

  /** @throws `payload` where bytes are left over. */
  end(): void {
    if (this.#at < this.bytes.length)
      throw new ProtocolError('payload', `${this.bytes.length - this.#at} bytes after the last tensor`);
  }

  #byte(): number {
    if (this.#at >= this.bytes.length)
      throw new ProtocolError('payload', `payload ends at byte ${this.bytes.length}, before its last tensor`);
    return this.bytes[this.#at++] as number;
  }
}
