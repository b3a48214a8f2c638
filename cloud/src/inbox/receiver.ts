import { type EdgeChunk, MAX_CHUNK_BYTES, ProtocolError, parseEdgeTopic, UpdateAssembler } from '@ecavg/protocol';
import type { Receipts } from './receipts.js';

/** Largest message with a chunk: the chunk and an envelope around it. */
export const MAX_MESSAGE_BYTES = MAX_CHUNK_BYTES + 4096;

/** What differs between the kinds of blobs that edges send in chunks. */
export interface BlobKind<Chunk extends EdgeChunk, Header> {
  /** Kind of the topic that they come on. */
  readonly kind: 'update' | 'share';
  /** The model that they belong to. */
  readonly model: string;
  /** Largest blob, bytes. */
  readonly maxBytes: number;
  /** @throws ProtocolError. */
  decode(payload: Uint8Array): Chunk;
  /**
   * Whether this very blob is here already.
   * @throws ProtocolError where another one is, or none is wanted at all.
   */
  isHere(chunk: Chunk): boolean | Promise<boolean>;
  /** @throws ProtocolError where the blob is not wanted now. */
  admit(chunk: Chunk): void;
  /** @throws ProtocolError unless the whole blob is sound and agrees with its envelope. */
  check(blob: Uint8Array, chunk: Chunk): Promise<Header>;
  /** Once this resolves, the blob is on disk. */
  store(header: Header, blob: Uint8Array, chunk: Chunk): Promise<void>;
  /** Called once a blob is stored and its edge answered. */
  taken(header: Header, bytes: number): Promise<void> | void;
}

/** Receives blobs in chunks: checks every message, stores what is sound, answers everything on the receipt topic. */
export class BlobReceiver<Chunk extends EdgeChunk, Header> {
  readonly #assembler: UpdateAssembler;

  constructor(
    private readonly of: BlobKind<Chunk, Header>,
    private readonly receipts: Receipts,
  ) {
    this.#assembler = new UpdateAssembler(of.maxBytes);
  }

  /** Handles a message. Never throws: a bad message is counted, logged and answered. */
  async take(topic: string, payload: Uint8Array): Promise<void> {
    let chunk: Chunk | undefined;
    try {
      chunk = this.of.decode(payload);
      await this.#chunk(topic, chunk);
    } catch (error) {
      this.receipts.reject(topic, error, chunk);
    }
  }

  async #chunk(topic: string, chunk: Chunk): Promise<void> {
    const { of } = this;
    this.#checkAddress(topic, chunk);
    const last = chunk.index === chunk.count - 1;
    if (await of.isHere(chunk)) {
      // The first chunk opens a transfer, the last one asks: either is answered, once is enough.
      if (chunk.index === 0 || last) this.#answer(chunk, { status: 'accepted' });
      return;
    }
    of.admit(chunk);
    const result = this.#assembler.add(chunk);
    if ('missing' in result) {
      // The last chunk has come and others have not: say which, instead of waiting for the edge to wonder.
      if (last) this.#answer(chunk, { status: 'missing', missing: result.missing });
      return;
    }
    const { blob } = result;
    const header = await of.check(blob, chunk);
    await of.store(header, blob, chunk);
    this.#answer(chunk, { status: 'accepted' });
    await of.taken(header, blob.length);
  }

  #checkAddress(topic: string, chunk: Chunk): void {
    const { kind, model } = this.of;
    const address = parseEdgeTopic(this.receipts.topics, topic);
    if (address.kind !== kind) throw new ProtocolError('unknown-topic', `${topic} carries no ${kind}s`);
    if (address.model !== model)
      throw new ProtocolError('unknown-model', `this cloud has no model ${address.model}; it has ${model}`);
    if (chunk.edge !== address.edge || chunk.model !== model)
      throw new ProtocolError(
        'identity-mismatch',
        `${article(kind)} of ${chunk.edge}/${chunk.model} on the topic of ${address.edge}/${model}`,
      );
  }

  #answer(
    { edge, model, id, round = null }: { edge: string; model: string; id: string; round?: number | null },
    said: { status: 'accepted' } | { status: 'missing'; missing: Uint8Array },
  ): void {
    this.receipts.answer(edge, model, { id, round, ...said });
  }
}

/** @throws `identity-mismatch` unless a blob's header says what its envelope says, and names this fleet. */
export function checkIdentity<Field extends 'edge' | 'model' | 'base' | 'round'>(
  kind: 'update' | 'share',
  header: Readonly<Record<Field, string | number>> & { readonly fleet: string },
  envelope: Readonly<Record<Field, string | number>>,
  expected: { readonly fields: readonly Field[]; readonly fleet: string },
): void {
  for (const field of expected.fields)
    if (header[field] !== envelope[field])
      throw new ProtocolError(
        'identity-mismatch',
        `the ${kind}'s header says ${field} ${header[field]}, its envelope ${envelope[field]}`,
      );
  if (header.fleet !== expected.fleet)
    throw new ProtocolError('identity-mismatch', `${article(kind)} of fleet ${header.fleet}`);
}

const article = (kind: 'update' | 'share'): string => (kind === 'update' ? 'an update' : 'a share');
