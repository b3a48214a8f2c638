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

export type RejectReason = (typeof REJECT_REASONS)[number];

/** A message or payload that can't be accepted: typed, so that the receiver can count and answer it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  constructor(
    readonly reason: RejectReason,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
