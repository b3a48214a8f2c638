import { readFileSync } from 'node:fs';
import { CodedError } from '@ecavg/protocol/errors';

/** Importing a daemon's modules alone takes up to 150 at once: Node opens those of a level together. */
const LEAST = 256;
const EXHAUSTED: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);

/** How many files this process may have open; undefined where the system does not say. Node has raised it as far as it may. */
export function openFilesLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

const sentence = (limit: number | undefined): string =>
  `too few files may be open${limit === undefined ? '' : `: ${limit}`}; ecavg needs ${LEAST}: raise the limit with "ulimit -n 1024", or LimitNOFILE= of the service`;

const tooFew = (limit: number | undefined): CodedError => new CodedError('ECAVG_STORAGE', sentence(limit));

/** @throws Error that names the limit of open files where a daemon can not work under it. */
export function checkOpenFiles(): void {
  const limit = openFilesLimit();
  if (limit !== undefined && limit < LEAST) throw tooFew(limit);
}

/**
 * What stands for an error whose cause are too few open files; undefined where it is another.
 * @param limit read while files could still be opened
 */
export function tooFewOpenFiles(error: unknown, limit: number | undefined): CodedError | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  // Node takes a package.json that it could not open for one that is not there.
  const hidden = code === 'ERR_MODULE_NOT_FOUND' && limit !== undefined && limit < LEAST;
  return EXHAUSTED.has(code) || hidden ? tooFew(limit) : undefined;
}
