// From the part that loads nothing else: small commands must start fast.
import { CodedError } from '@ecavg/protocol/errors';

/** Exit codes of every command: 0 done, 1 failed while running, 2 wrong usage or configuration. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** A mistake in a config file, an environment variable or a flag; the message names it and the fix. */
export class ConfigError extends CodedError {
  override readonly name = 'ConfigError';
}
