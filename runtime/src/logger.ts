import { createRequire } from 'node:module';
import { codeOf, REJECT_REASONS, type RejectReason, refusalCode } from '@ecavg/protocol/errors';
import type * as Pino from 'pino';
import type * as Pretty from 'pino-pretty';
import { z } from 'zod';

export type Logger = Pino.Logger;

const require = createRequire(import.meta.url);

export const logSchema = z
  .strictObject({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    /** auto: pretty on a terminal, JSON lines otherwise. */
    format: z.enum(['auto', 'json', 'pretty']).default('auto'),
  })
  .prefault({});

const REASONS: ReadonlySet<unknown> = new Set(REJECT_REASONS);

/** A line of an error, or of a refusal, has its code: see docs/errors.md. */
function withCode(line: Record<string, unknown>): Record<string, unknown> {
  if (line.err instanceof Error) return { code: codeOf(line.err), ...line };
  return REASONS.has(line.reason) ? { code: refusalCode(line.reason as RejectReason), ...line } : line;
}

/** Structured logs on standard error, one JSON object a line; secrets never appear. */
export function createLogger(name: string, config: z.output<typeof logSchema>): Logger {
  const asText = config.format === 'pretty' || (config.format === 'auto' && process.stderr.isTTY === true);
  // Loaded here, so that commands that log nothing do without.
  const { pino } = require('pino') as typeof Pino;
  const destination = asText
    ? (require('pino-pretty') as typeof Pretty).default({
        destination: 2,
        sync: true,
        ignore: 'pid,hostname',
        translateTime: 'SYS:HH:MM:ss.l',
      })
    : pino.destination({ dest: 2, sync: true });
  return pino(
    {
      name,
      level: config.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { log: withCode },
      redact: ['password', '*.password', 'token', '*.token', 'secret', '*.secret'],
    },
    destination,
  );
}
