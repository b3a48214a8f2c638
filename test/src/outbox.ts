import { existsSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { unpack } from '@ecavg/protocol';
import { paced } from './pace.js';

/** The id of the update in a gateway's outbox: waits until there is one, or (`empty`) until there is none. */
export async function outboxId(folder: string, empty = false): Promise<string | undefined> {
  const file = join(folder, 'outbox');
  const settled = (): boolean => existsSync(file) !== empty;
  if (!settled()) {
    await new Promise<void>((resolve, reject) => {
      const watcher = watch(folder, () => settled() && done());
      const limit = setTimeout(() => {
        watcher.close();
        reject(new Error(`outbox of ${folder} did not become ${empty ? 'empty' : 'full'}`));
      }, paced(60_000));
      const done = (): void => {
        clearTimeout(limit);
        watcher.close();
        resolve();
      };
      if (settled()) done();
    });
  }
  return empty ? undefined : (unpack(readFileSync(file)) as { id: string }).id;
}
