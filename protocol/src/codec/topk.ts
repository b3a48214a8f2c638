import { ProtocolError } from '../errors.js';
import type { Layout } from '../layout.js';
import { brotli, checkFinite, checkScale, int8Scale, option, toInt8, unbrotli } from './common.js';
import { magnitudeOfRank } from './quantise.js';
import type { UpdateCodec } from './types.js';

/** Tensors of at most this many values (biases, norms) are sent whole: they cost little and matter much. */
const DENSE_BELOW = 64;

/**
 * The largest `fraction` of each tensor's values as int8 with one scale a tensor, then Brotli.
 * Before Brotli, for each tensor: float32 scale, varint count, that many varint gaps between indices
 * (first index from -1, each gap >= 1), that many int8 values.
 * Options: `fraction` in (0, 1] (default 0.05), `quality`, Brotli's 0-11 (default 6).
 */
export const topkCodec: UpdateCodec = {
  name: 'topk-brotli',
  presets: false,
  encode(delta, layout, options) {
    checkFinite(delta, layout);
    const fraction = option(options, 'fraction', 0.05, 1e-6, 1);
    const out = new ByteWriter();
    for (const slot of layout.tensors) {
      const keep = slot.length <= DENSE_BELOW ? slot.length : Math.max(1, Math.ceil(slot.length * fraction));
      const values = delta.subarray(slot.offset, slot.offset + slot.length);
      const scale = int8Scale(values, 0, values.length);
      const floor = magnitudeOfRank(values, keep);
      const gaps: number[] = [];
      const kept: number[] = [];
      let last = -1;
      for (let i = 0; i < values.length && kept.length < keep; i++) {
        const v = values[i] as number;
        const q = toInt8(v, scale);
        if (Math.abs(v) < floor || q === 0) continue;
        gaps.push(i - last);
        kept.push(q);
        last = i;
      }
      out.float32(scale);
      out.varint(kept.length);
      for (const gap of gaps) out.varint(gap);
      for (const q of kept) out.byte(q & 0xff);
    }
    return brotli(out.finish(), option(options, 'quality', 6, 0, 11));
  },
  check(payload, layout) {
    open(payload, layout);
  },
  accumulate(payload, layout, weight, accumulator) {
    for (const { scale, indices, values } of open(payload, layout)) {
      const factor = weight * scale;
      for (let i = 0; i < indices.length; i++) {
        const at = indices[i] as number;
        accumulator[at] = (accumulator[at] as number) + factor * (values[i] as number);
      }
    }
  },
};

interface Sparse {
  readonly scale: number;
  /** Into the flat vector, rising. */
  readonly indices: Uint32Array;
  readonly values: Int8Array;
}

function open(payload: Uint8Array, layout: Layout): Sparse[] {
  // Worst case a value: a 5-byte gap and one value; a tensor: 4 + 5 bytes.
  const bytes = unbrotli(payload, layout.tensors.length * 9 + layout.total * 6);
  const reader = new ByteReader(bytes);
  const parts = layout.tensors.map((slot) => {
    const scale = reader.float32();
    checkScale(scale, slot.name);
    const count = reader.varint();
    if (count > slot.length) {
      throw new ProtocolError('payload', `tensor ${JSON.stringify(slot.name)}: ${count} values of ${slot.length}`);
    }
    const indices = new Uint32Array(count);
    let at = -1;
    for (let i = 0; i < count; i++) {
      const gap = reader.varint();
      at += gap;
      if (gap < 1 || at >= slot.length) {
        throw new ProtocolError('payload', `tensor ${JSON.stringify(slot.name)}: index ${at} of ${slot.length}`);
      }
      indices[i] = slot.offset + at;
    }
    return { scale, indices, values: reader.int8s(count) };
  });
  reader.end();
  return parts;
}

class ByteWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  #room(n: number): void {
    if (this.#at + n <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + n));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
  byte(b: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = b;
  }
  float32(v: number): void {
    this.#room(4);
    this.#view.setFloat32(this.#at, v, true);
    this.#at += 4;
  }
  /** LEB128, unsigned, below 2^32. */
  varint(value: number): void {
    let v = value;
    while (v >= 0x80) {
      this.byte((v % 0x80) | 0x80);
      v = Math.floor(v / 0x80);
    }
    this.byte(v);
  }
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
}

class ByteReader {
  readonly #view: DataView;
  #at = 0;
  constructor(private readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  #need(n: number): void {
    if (n > this.bytes.length - this.#at)
      throw new ProtocolError('payload', `payload ends at byte ${this.bytes.length}`);
  }
  float32(): number {
    this.#need(4);
    const v = this.#view.getFloat32(this.#at, true);
    this.#at += 4;
    return v;
  }
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 5; shift++) {
      this.#need(1);
      const b = this.bytes[this.#at++] as number;
      value += (b & 0x7f) * 0x80 ** shift;
      if (b < 0x80) return value;
    }
    throw new ProtocolError('payload', `varint longer than 5 bytes at ${this.#at}`);
  }
  int8s(n: number): Int8Array {
    this.#need(n);
    const out = new Int8Array(this.bytes.buffer, this.bytes.byteOffset + this.#at, n);
    this.#at += n;
    return out;
  }
  end(): void {
    if (this.#at !== this.bytes.length) {
      throw new ProtocolError('payload', `${this.bytes.length - this.#at} bytes after the last tensor`);
    }
  }
}
