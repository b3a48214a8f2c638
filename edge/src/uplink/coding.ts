import { type Artifact, updateArtifact } from '@ecavg/models';
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

/**
 * Codes a difference, with what is carried from before, into an update for the outbox.
 * @param budget bytes that the link carries in time, for the preset `auto`; undefined where no transfer was measured.
 */
export function encodeEntry(
  header: Omit<UpdateHeader, 'key'>,
  delta: Float32Array,
  memory: Memory,
  layout: Layout,
  options: CodecOptions,
  budget: number | undefined,
  signer: Signer,
): OutboxEntry {
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
  const nothing = new Float32Array(layout.total);
  // What was wanted is all in the residual; the velocity has had its share of it.
  const again = encodeEntry(
    header,
    nothing,
    residual ? { residual } : {},
    layout,
    { ...options, momentum: 0 },
    undefined,
    signer,
  );
  return velocity ? { ...again, ifAccepted: { ...again.ifAccepted, velocity } } : again;
}

/** The version that a published difference leads to. Throws ProtocolError where it does not fit. */
export function applyDifference(base: Artifact, payload: Uint8Array, codecName: string): Artifact {
  const coder = codec(codecName);
  coder.check(payload, base.layout);
  const weights = base.weights.slice();
  coder.accumulate(payload, base.layout, 1, weights);
  return updateArtifact(base, weights);
}
