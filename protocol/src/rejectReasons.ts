/**
 * Why a message was refused. Each value is a counter in telemetry, a field of the log line and the
 * `reason` of the receipt, so the spelling is part of the wire format.
 */
export const REJECT_REASONS = [
  'unknown-topic',
  'bad-identifier',
  'too-large',
  'not-messagepack',
  'schema-version',
  'schema',
  'identity-mismatch',
  'unknown-model',
  'bad-signature',
  'unknown-edge',
  'bad-token',
  'replay',
  'round-closed',
  'base-mismatch',
  'crc-mismatch',
  'hash-mismatch',
  'chunk-conflict',
  'too-many-transfers',
  'duplicate',
  'unknown-codec',
  'layout-mismatch',
  'reference-mismatch',
  'not-wanted',
  'payload',
  'non-finite',
  'storage',
] as const;

/** A reason of refusal: one of REJECT_REASONS. */
export type RejectReason = (typeof REJECT_REASONS)[number];
