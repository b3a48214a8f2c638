import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { makeReference, type Reference } from '@ecavg/protocol';
import { listFolder, opaqueState, readIfThere, writeDurable } from '@ecavg/runtime';

opaqueState({
  kind: 'reference of a gateway',
  at: {
    cloud: '[fleets/{fleet}/]rounds/{model}/references/{edge}/{hash}',
    region: 'rounds/{model}/references/{edge}/{hash}',
  },
  holds: 'the levels of its last accepted updates, in whose light the next one is coded; deflated',
  told: 'the hash of what it holds, in its name',
  removed: 'safe: the gateway codes its next update again without one',
});

/**
 * The levels of each edge's last accepted update, in whose light its next one is coded. On disk, one file an edge and hash: memory
 * does not grow with the number of edges. The new one is written before its update is accepted, and the one before
 * stays until the next: whichever side of the receipt a crash falls on, the edge's reference is there.
 */
export class References {
  constructor(private readonly folder: string) {}

  /** Undefined where there is none, or the file is damaged: the edge then codes without. */
  async get(edge: string, hash: string, length: number): Promise<Reference | undefined> {
    const file = await readIfThere(join(this.folder, edge, hash));
    if (!file) return undefined;
    try {
      const bytes = new Uint8Array(inflateRawSync(file, { maxOutputLength: Math.max(1, length) }));
      const reference = makeReference(new Int8Array(bytes.buffer));
      return reference.hash === hash ? reference : undefined;
    } catch {
      return undefined;
    }
  }

  /** Keeps `next`, and of those before only `used`. */
  async put(edge: string, next: Reference, used: string | undefined): Promise<void> {
    const folder = join(this.folder, edge);
    await writeDurable(join(folder, next.hash), deflateRawSync(new Uint8Array(next.levels.buffer), { level: 1 }));
    for (const name of await listFolder(folder)) {
      if (name !== next.hash && name !== used) await rm(join(folder, name), { force: true });
    }
  }
}
