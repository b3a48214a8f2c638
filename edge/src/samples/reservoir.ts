import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { Random } from '@ecavg/models';
import { CodedError } from '@ecavg/protocol/errors';

/** Bytes before a slot's values: crc32 of the rest, label, number of its group. */
const HEAD = 16;

/** What a slot holds besides its values. */
export interface Kept {
  readonly label: number;
  /** Samples of one group are recorded close together. */
  readonly group: number;
}

/** What a reservoir is opened with. */
export interface ReservoirAbout {
  /** Samples that it holds. */
  readonly capacity: number;
  /** Values of a sample. */
  readonly size: number;
  readonly seed: number;
  /** Offers that an earlier run has made. */
  readonly seen: number;
}

/**
 * A bounded sample of everything that was ever offered, on disk: after n offers each of them is there with the same probability
 * capacity / n (Vitter 1985, "Random sampling with a reservoir", algorithm R). Which slot an offer takes follows from its number and
 * the seed, so that an offer repeated after a crash changes nothing.
 *
 * A fixed file of slots; values are read from it as they are needed, memory holds labels and groups alone.
 */
export class Reservoir {
  readonly labels: Int32Array;
  readonly groups: Int32Array;
  readonly #used: Uint8Array;
  readonly #slotBytes: number;
  #count = 0;

  /** Offers so far. */
  seen: number;

  private constructor(
    private readonly fd: number,
    private readonly about: ReservoirAbout,
  ) {
    const { capacity, size, seen } = about;
    this.seen = seen;
    this.labels = new Int32Array(capacity);
    this.groups = new Int32Array(capacity);
    this.#used = new Uint8Array(capacity);
    this.#slotBytes = Reservoir.slotBytes(size);
  }

  get capacity(): number {
    return this.about.capacity;
  }

  static slotBytes(size: number): number {
    return HEAD + 4 * size;
  }

  /** Takes up what an earlier run left; slots that are torn or damaged are empty, and their number is given to `damaged`. */
  static open(file: string, about: ReservoirAbout, damaged: (slots: number) => void): Reservoir {
    mkdirSync(dirname(file), { recursive: true });
    const fd = openSync(file, 'a+');
    closeSync(fd);
    const reservoir = new Reservoir(openSync(file, 'r+'), about);
    reservoir.#load(damaged);
    return reservoir;
  }

  #load(damaged: (slots: number) => void): void {
    let bad = 0;
    const slot = Buffer.alloc(this.#slotBytes);
    const slots = Math.min(this.seen, this.capacity);
    for (let i = 0; i < slots; i++) {
      const length = readSync(this.fd, slot, 0, this.#slotBytes, i * this.#slotBytes);
      if (length === this.#slotBytes && slot.readUInt32LE(0) === crc32(slot.subarray(4)))
        this.#note(i, { label: slot.readInt32LE(4), group: slot.readInt32LE(8) });
      else bad++;
    }
    // What lies behind the slots in use was offered by a run whose count is lost.
    ftruncateSync(this.fd, slots * this.#slotBytes);
    if (bad > 0) damaged(bad);
  }

  #note(slot: number, { label, group }: Kept): void {
    this.labels[slot] = label;
    this.groups[slot] = group;
    if (!this.#used[slot]) this.#count++;
    this.#used[slot] = 1;
  }

  get count(): number {
    return this.#count;
  }

  /** Slots that hold a sample. */
  get indices(): Int32Array {
    const out = new Int32Array(this.#count);
    let n = 0;
    for (let i = 0; i < this.capacity; i++) if (this.#used[i]) out[n++] = i;
    return out;
  }

  /**
   * Counts a sample and keeps it, or not.
   * @throws where the disk is full; the offer then counts for nothing.
   */
  offer(values: Float32Array, kept: Kept): boolean {
    const slot =
      this.seen < this.capacity ? this.seen : new Random(this.about.seed, `reservoir/${this.seen}`).int(this.seen + 1);
    if (slot < this.capacity) this.#write(slot, values, kept);
    this.seen++;
    return slot < this.capacity;
  }

  #write(slot: number, values: Float32Array, kept: Kept): void {
    const bytes = Buffer.alloc(this.#slotBytes);
    bytes.writeInt32LE(kept.label, 4);
    bytes.writeInt32LE(kept.group, 8);
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), HEAD);
    bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
    const written = writeSync(this.fd, bytes, 0, bytes.length, slot * this.#slotBytes);
    if (written < bytes.length)
      throw Object.assign(new CodedError('ECAVG_STORAGE', 'the disk is full'), { code: 'ENOSPC' });
    this.#note(slot, kept);
  }

  /** Writes a slot's values to `out` at `offset`. */
  read(slot: number, out: Float32Array, offset: number): void {
    const view = new Uint8Array(out.buffer, out.byteOffset + 4 * offset, 4 * this.about.size);
    const length = readSync(this.fd, view, 0, view.length, slot * this.#slotBytes + HEAD);
    if (length < view.length) throw new CodedError('ECAVG_STATE_DAMAGED', `sample ${slot} of the store is cut off`);
  }

  close(): void {
    closeSync(this.fd);
  }
}
