import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { everything, rowsData, type View } from '@ecavg/models';
import { decodeShare, type ShareHeader, sha256Hex, shareHeader } from '@ecavg/protocol';
import { listFolder, opaqueState, readIfThere, writeDurable } from '@ecavg/runtime';

opaqueState({
  kind: 'share of a gateway',
  at: { cloud: '[fleets/{fleet}/]rounds/{model}/shares/{kind}/{edge}' },
  holds: 'samples or activations that a site gave by opt-in, as they came',
  told: 'the header that it has on the wire, signed by its gateway',
  removed: 'fine-tuning goes on without them; the site gives them again for the next version',
});

type Kind = ShareHeader['kind'];

/** What sites gave by opt-in, on disk: the newest of each edge and kind. */
export class ShareStore {
  constructor(
    private readonly folder: string,
    private readonly classes: readonly string[],
  ) {}

  /** Whether this very blob is there. */
  async has(edge: string, id: string): Promise<boolean> {
    for (const kind of ['samples', 'features'] as const) {
      const blob = await readIfThere(this.#file(kind, edge));
      if (blob && sha256Hex(blob) === id) return true;
    }
    return false;
  }

  /** The blob must have been checked. */
  async put({ kind, edge }: Pick<ShareHeader, 'kind' | 'edge'>, blob: Uint8Array): Promise<void> {
    await writeDurable(this.#file(kind, edge), blob);
  }

  /** Edges that gave something of a kind, of version `base` where one is named. */
  async edges(kind: Kind, base?: string): Promise<string[]> {
    const found: string[] = [];
    for (const edge of await listFolder(join(this.folder, kind))) {
      const blob = await readIfThere(this.#file(kind, edge));
      if (blob && (base === undefined || shareHeader(blob).base === base)) found.push(edge);
    }
    return found;
  }

  /** What these edges gave, a view each. */
  async views(kind: Kind, edges: readonly string[]): Promise<View[]> {
    const views: View[] = [];
    for (const edge of edges) {
      const blob = await readIfThere(this.#file(kind, edge));
      if (!blob) continue;
      const { header, shared } = decodeShare(blob, this.classes.length);
      const { classes } = this;
      views.push(everything(rowsData({ name: `${kind} of ${edge}`, shape: header.shape, classes, ...shared })));
    }
    return views;
  }

  /** Forgets what an edge gave. */
  async forget(edge: string): Promise<void> {
    for (const kind of ['samples', 'features'] as const) await rm(this.#file(kind, edge), { force: true });
  }

  #file(kind: Kind, edge: string): string {
    return join(this.folder, kind, edge);
  }
}
