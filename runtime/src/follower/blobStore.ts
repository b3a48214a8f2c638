import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '@ecavg/protocol';
import { listFolder, readIfThere, writeDurable } from '../files.js';
import { opaqueState } from '../stateKinds.js';

opaqueState({
  kind: 'version in hand',
  at: { edge: 'blobs/{sha256}', region: 'upstream/blobs/{sha256}' },
  holds: 'the model and its training graph (ONNX), or the difference that led to it',
  told: 'its sha256, in its name',
  removed: 'safe: it is fetched again',
});

/** Published files that a node keeps, by their sha256, so that a restart fetches nothing again. */
export class BlobStore {
  constructor(private readonly folder: string) {}

  /** Undefined where there is none, or it is damaged: the blob is then fetched again. */
  async get(sha256: string): Promise<Uint8Array | undefined> {
    const found = await readIfThere(join(this.folder, sha256));
    return found && sha256Hex(found) === sha256 ? found : undefined;
  }

  async put(sha256: string, blob: Uint8Array): Promise<void> {
    await writeDurable(join(this.folder, sha256), blob);
  }

  /** Removes all but these. */
  async prune(keep: ReadonlySet<string>): Promise<void> {
    for (const name of await listFolder(this.folder))
      if (!keep.has(name)) await rm(join(this.folder, name), { force: true });
  }
}
