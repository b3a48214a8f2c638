import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Logger } from '@ecavg/runtime';

/** Several files that belong together change one after the other: wait until they are all there. */
const SETTLE_MS = 300;

/**
 * Calls back when one of the files has changed, and on SIGHUP for all; returns the way to stop. Folders are watched, because files are
 * replaced by renaming. What goes wrong is logged, and what was known before stays in force.
 */
export function watchFiles<T extends string>(
  groups: Readonly<Record<T, readonly string[] | undefined>>,
  changed: (what: T) => Promise<void>,
  log: Logger,
): () => void {
  const timers = new Map<T, NodeJS.Timeout>();
  const soon = (what: T): void => {
    clearTimeout(timers.get(what));
    const run = (): void => {
      changed(what).then(
        () => log.info({ what }, 'read again'),
        (error: unknown) => log.error({ what, err: error }, 'could not be read again: what was known stays in force'),
      );
    };
    timers.set(what, setTimeout(run, SETTLE_MS));
  };
  const names = (Object.keys(groups) as T[]).filter((what) => groups[what] !== undefined);
  const watchers = names.flatMap((what) => {
    const files = groups[what] ?? [];
    return [...new Set(files.map(dirname))].map((folder) => {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || files.some((f) => dirname(f) === folder && basename(f) === name)) soon(what);
      });
      watcher.on('error', (error) => log.warn({ err: error, folder }, 'can no longer be watched: use SIGHUP'));
      return watcher;
    });
  });
  const all = (): void => {
    for (const what of names) soon(what);
  };
  process.on('SIGHUP', all);
  return () => {
    process.off('SIGHUP', all);
    for (const timer of timers.values()) clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
