import { type ErrorCode, refusalCode } from './errorTable.js';
import type { RejectReason } from './rejectReasons.js';

export { ERRORS, type ErrorCode, GENERAL_ERRORS, refusalCode } from './errorTable.js';
export { type ErrorEntry, REFUSALS } from './refusals.js';
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

/** What the system, and the libraries for sockets and stores, say of an error. */
const SYSTEM: ReadonlyMap<unknown, ErrorCode> = new Map(
  Object.entries<readonly string[]>({
    ECAVG_STORAGE: [
      'ENOSPC',
      'EDQUOT',
      'EACCES',
      'EPERM',
      'EROFS',
      'EMFILE',
      'ENFILE',
      'EIO',
      'LEVEL_DATABASE_NOT_OPEN',
    ],
    ECAVG_FILE: ['ENOENT', 'EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY'],
    ECAVG_CONNECTION: [
      ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'],
      ...['ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_SOCKET'],
    ],
  } satisfies Partial<Record<ErrorCode, readonly string[]>>).flatMap(([code, names]) =>
    names.map((name) => [name, code as ErrorCode] as const),
  ),
);

/** The code of any error that was caught. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof CodedError || error instanceof ArgumentError) return error.code;
  return SYSTEM.get((error as { code?: unknown } | undefined | null)?.code) ?? 'ECAVG_UNEXPECTED';
}
