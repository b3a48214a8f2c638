import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Logger } from '@ecavg/runtime';

/** Several files that belong together change one after the other: wait until they are all there. */
const SETTLE_MS = 300;

/** Files that are read together. */
export interface WatchedFiles {
  /** Their name in the log. */
  readonly what: string;
  readonly files: readonly string[];
  /** Reads them again. */
  read(): Promise<void>;
}

/**
 * Reads files again when one of them has changed, and on SIGHUP all; returns the way to stop. Folders are watched, because files are
 * replaced by renaming. What goes wrong is logged, and what was known before stays in force.
 */
export function watchFiles(groups: readonly WatchedFiles[], log: Logger): () => void {
  const timers = new Map<WatchedFiles, NodeJS.Timeout>();
  const soon = (group: WatchedFiles): void => {
    clearTimeout(timers.get(group));
    const { what } = group;
    const run = (): void => {
      group.read().then(
        () => log.info({ what }, 'read again'),
        (error: unknown) => log.error({ what, err: error }, 'could not be read again: what was known stays in force'),
      );
    };
    timers.set(group, setTimeout(run, SETTLE_MS));
  };
  const watchers = groups.flatMap((group) => {
    const { files } = group;
    return [...new Set(files.map(dirname))].map((folder) => {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || files.some((f) => dirname(f) === folder && basename(f) === name)) soon(group);
      });
      watcher.on('error', (error) => log.warn({ err: error, folder }, 'can no longer be watched: use SIGHUP'));
      return watcher;
    });
  });
  const all = (): void => {
    for (const group of groups) soon(group);
  };
  process.on('SIGHUP', all);
  return () => {
    process.off('SIGHUP', all);
    for (const timer of timers.values()) clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
