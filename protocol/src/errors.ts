import { type ErrorCode, refusalCode } from './errorTable.js';
import type { RejectReason } from './rejectReasons.js';

export { ERRORS, type ErrorCode, type ErrorEntry, GENERAL_ERRORS, REFUSALS, refusalCode } from './errorTable.js';
export { REJECT_REASONS, type RejectReason } from './rejectReasons.js';

/** An error with a stable code. */
export class CodedError extends Error {
  override readonly name: string = 'CodedError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A message or payload that can't be accepted: typed, so that the receiver can count and answer it. */
export class ProtocolError extends CodedError {
  override readonly name = 'ProtocolError';
  constructor(
    readonly reason: RejectReason,
    message: string,
    options?: ErrorOptions,
  ) {
    super(refusalCode(reason), message, options);
  }
}

/** A call that a function does not take; still a RangeError, which callers of libraries look for. */
export class ArgumentError extends RangeError {
  override readonly name: string = 'ArgumentError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What the system says where a file can't be written or read. */
const STORAGE: ReadonlySet<unknown> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EACCES',
  'EPERM',
  'EROFS',
  'EMFILE',
  'ENFILE',
  'EIO',
]);

/** The code of any error that was caught. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof CodedError || error instanceof ArgumentError) return error.code;
  const { code } = (error ?? {}) as { code?: unknown };
  return STORAGE.has(code) ? 'ECAVG_STORAGE' : 'ECAVG_UNEXPECTED';
}
