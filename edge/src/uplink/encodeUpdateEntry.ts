import {
  type CodecOptions,
  codec,
  decodeUpdate,
  encodeUpdate,
  encodeWithFeedback,
  encodeWithin,
  type Layout,
  makeReference,
  type Signer,
  sha256Hex,
  type UpdateHeader,
} from '@ecavg/protocol';
import type { Memory, OutboxEntry } from './edgeStore.js';

/** What is coded, and how. */
export interface Coding {
  readonly header: Omit<UpdateHeader, 'key'>;
  readonly delta: Float32Array;
  readonly memory: Memory;
  readonly layout: Layout;
  readonly options: CodecOptions;
  /** Bytes that the link carries in time, for the preset `auto`; undefined where no transfer was measured. */
  readonly budget: number | undefined;
  readonly signer: Signer;
}

/** Codes a difference, with what is carried from before, into an update for the outbox. */
export function encodeEntry({ header, delta, memory, layout, options, budget, signer }: Coding): OutboxEntry {
  const coder = codec(header.codec);
  const temporal = options.temporal === 1;
  const reference = temporal && memory.levels && coder.levels ? makeReference(memory.levels) : undefined;
  const coded = encodeWithin(options, budget, (o) => encodeWithFeedback(coder, delta, memory, layout, o, reference));
  const levels = temporal ? coder.levels?.(coded.payload, layout, reference).levels : undefined;
  const blob = encodeUpdate(header, coded.payload, signer);
  return {
    id: sha256Hex(blob),
    round: header.round,
    base: header.base,
    blob,
    ifAccepted: levels ? { ...coded.ifAccepted, levels } : coded.ifAccepted,
    ifRejected: memory.levels ? { ...coded.ifRejected, levels: memory.levels } : coded.ifRejected,
  };
}

/** The same update coded once more, without reference to an earlier one that the cloud does not have. */
export function encodeAgain(entry: OutboxEntry, layout: Layout, options: CodecOptions, signer: Signer): OutboxEntry {
  const { header } = decodeUpdate(entry.blob);
  const { residual, velocity } = entry.ifRejected;
  const again = encodeEntry({
    header,
    // What was wanted is all in the residual; the velocity has had its share of it.
    delta: new Float32Array(layout.total),
    memory: residual ? { residual } : {},
    layout,
    options: { ...options, momentum: 0 },
    budget: undefined,
    signer,
  });
  return velocity ? { ...again, ifAccepted: { ...again.ifAccepted, velocity } } : again;
}
