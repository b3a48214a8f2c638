import { crc32 } from 'node:zlib';
import { ProtocolError } from './errors.js';
import { sha256Hex } from './layout.js';
import { type BlobRef, MAX_CHUNK_BYTES, type Message } from './messages.js';

/** The reference of a blob, by which a message names it: its sha256 in hex, its size and the size of its chunks in bytes. */
export function blobRef(blob: Uint8Array, chunkBytes = MAX_CHUNK_BYTES): BlobRef {
  return { sha256: sha256Hex(blob), size: blob.length, chunkBytes };
}

/** How many chunks a blob is sent in; all but the last have `chunkBytes` bytes. */
export function chunkCount(ref: Pick<BlobRef, 'size' | 'chunkBytes'>): number {
  return Math.ceil(ref.size / ref.chunkBytes);
}

/** The chunks of a blob in order: views (no copies) of `chunkBytes` bytes each, the last maybe shorter. */
export function splitBlob(blob: Uint8Array, chunkBytes = MAX_CHUNK_BYTES): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < blob.length; at += chunkBytes) chunks.push(blob.subarray(at, at + chunkBytes));
  return chunks;
}

/**
 * Puts one blob together from its chunks. Its size is known from the start, so that its memory is taken once; chunks come in any order,
 * any number of times.
 */
export class BlobAssembler {
  readonly #bytes: Uint8Array;
  readonly #have: Uint8Array;
  #left: number;
  constructor(readonly ref: BlobRef) {
    this.#bytes = new Uint8Array(ref.size);
    this.#have = new Uint8Array(chunkCount(ref));
    this.#left = this.#have.length;
  }
  /**
   * Takes a chunk; one that is there already is left alone.
   * @throws ProtocolError `chunk-conflict` where the index or the length can't belong to the blob.
   */
  add(index: number, data: Uint8Array): void {
    const at = index * this.ref.chunkBytes;
    const expected = Math.min(this.ref.chunkBytes, this.ref.size - at);
    if (index >= this.#have.length || data.length !== expected) {
      throw new ProtocolError(
        'chunk-conflict',
        `chunk ${index} of ${data.length} bytes does not fit a blob of ${this.ref.size} bytes in ${this.#have.length} chunks`,
      );
    }
    if (this.#have[index]) return;
    this.#bytes.set(data, at);
    this.#have[index] = 1;
    this.#left--;
  }
  /** Whether every chunk has arrived. */
  get complete(): boolean {
    return this.#left === 0;
  }
  /** Indices of chunks that have not arrived. */
  missing(): number[] {
    return [...this.#have.keys()].filter((i) => !this.#have[i]);
  }
  /** The same as a bitmap: a bit a chunk, from the lowest bit of the first byte. */
  missingBitmap(): Uint8Array {
    const bitmap = new Uint8Array(Math.ceil(this.#have.length / 8));
    for (const i of this.missing()) bitmap[i >> 3] = (bitmap[i >> 3] as number) | (1 << (i & 7));
    return bitmap;
  }
  /** The whole blob. @throws ProtocolError `hash-mismatch` where its sha256 is not the one that was named. */
  finish(): Uint8Array {
    const actual = sha256Hex(this.#bytes);
    if (actual !== this.ref.sha256) {
      throw new ProtocolError('hash-mismatch', `the blob's sha256 is ${actual}, not ${this.ref.sha256}`);
    }
    return this.#bytes;
  }
}

/** The numbers of the chunks whose bit is set in a bitmap (see `BlobAssembler.missingBitmap`), below `count`. */
export function chunksIn(bitmap: Uint8Array, count: number): number[] {
  return [...Array(count).keys()].filter((i) => ((bitmap[i >> 3] ?? 0) >> (i & 7)) & 1);
}

/** A message that carries a chunk of a blob from an edge: of an update (with its round), or of what its site shares. */
export type EdgeChunk = Omit<Message<'share'>, 'type'> & { readonly round?: number };

/**
 * The chunk messages that carry a blob from an edge, in order.
 * @param about what they all say: edge, model, base, and the round of an update.
 */
export function edgeChunks<T extends { readonly edge: string }>(
  blob: Uint8Array,
  about: T,
  chunkBytes = MAX_CHUNK_BYTES,
): (T & Pick<EdgeChunk, 'id' | 'index' | 'count' | 'size' | 'crc' | 'data'>)[] {
  const id = sha256Hex(blob);
  const parts = splitBlob(blob, chunkBytes);
  return parts.map((data, index) => ({
    ...about,
    id,
    index,
    count: parts.length,
    size: blob.length,
    crc: crc32(data),
    data,
  }));
}

interface Transfer {
  readonly assembler: BlobAssembler;
  readonly first: EdgeChunk;
  touched: number;
}

/**
 * Puts blobs together from the chunks of many edges at once. Memory is bounded: `maxBytes` a transfer, `perEdge` transfers an edge; where
 * an edge begins one more, the one of its transfers that was touched longest ago is given up. (The edge sends what it gets no receipt for again.)
 */
export class UpdateAssembler {
  readonly #transfers = new Map<string, Transfer>();
  #clock = 0;
  constructor(
    private readonly maxBytes: number,
    private readonly perEdge = 2,
  ) {}

  /**
   * Takes a chunk. Returns the whole blob once, when its last chunk arrives; otherwise a bitmap of the chunks still missing.
   * @throws ProtocolError `too-large`, `chunk-conflict`, `crc-mismatch` or, with the last chunk, `hash-mismatch`.
   */
  add(chunk: EdgeChunk): { blob: Uint8Array } | { missing: Uint8Array } {
    if (chunk.size > this.maxBytes) {
      throw new ProtocolError(
        'too-large',
        `a transfer of ${chunk.size} bytes; the limit for this model is ${this.maxBytes}`,
      );
    }
    if (chunk.index >= chunk.count) {
      throw new ProtocolError('chunk-conflict', `chunk index ${chunk.index} of ${chunk.count}`);
    }
    if (crc32(chunk.data) !== chunk.crc) {
      throw new ProtocolError('crc-mismatch', `chunk ${chunk.index} of ${chunk.count} arrived damaged`);
    }
    const key = `${chunk.edge}/${chunk.model}/${chunk.id}`;
    const transfer = this.#transfers.get(key) ?? this.#open(key, chunk);
    transfer.touched = ++this.#clock;
    const { first, assembler } = transfer;
    const same =
      first.size === chunk.size &&
      first.count === chunk.count &&
      first.round === chunk.round &&
      first.base === chunk.base;
    if (!same)
      throw new ProtocolError('chunk-conflict', `chunk ${chunk.index} disagrees with the first one of its update`);
    assembler.add(chunk.index, chunk.data);
    if (!assembler.complete) return { missing: assembler.missingBitmap() };
    this.#transfers.delete(key);
    return { blob: assembler.finish() };
  }

  /** Forgets the transfers of an edge (it went away or its round closed). */
  drop(edge: string): void {
    for (const [key, t] of this.#transfers) if (t.first.edge === edge) this.#transfers.delete(key);
  }

  #open(key: string, chunk: EdgeChunk): Transfer {
    // All chunks but the last are equally long, so the chunk size follows from any of them.
    const chunkBytes =
      chunk.count === 1
        ? chunk.size
        : chunk.index < chunk.count - 1
          ? chunk.data.length
          : (chunk.size - chunk.data.length) / (chunk.count - 1);
    const ref = { sha256: chunk.id, size: chunk.size, chunkBytes };
    if (!Number.isInteger(chunkBytes) || chunkBytes < 1 || chunkCount(ref) !== chunk.count) {
      throw new ProtocolError('chunk-conflict', `${chunk.count} chunks can't make ${chunk.size} bytes`);
    }
    const mine = [...this.#transfers.entries()].filter(([, t]) => t.first.edge === chunk.edge);
    if (mine.length >= this.perEdge) {
      mine.sort((a, b) => a[1].touched - b[1].touched);
      const oldest = mine[0];
      if (oldest) this.#transfers.delete(oldest[0]);
    }
    const transfer = { assembler: new BlobAssembler(ref), first: { ...chunk, data: new Uint8Array() }, touched: 0 };
    this.#transfers.set(key, transfer);
    return transfer;
  }
}
