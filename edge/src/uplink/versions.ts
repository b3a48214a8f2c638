import { type Artifact, readArtifact } from '@ecavg/models';
import { type BlobRef, type Manifest, ProtocolError } from '@ecavg/protocol';
import type { Downloader, Logger } from '@ecavg/runtime';
import { applyDifference } from './coding.js';
import type { EdgeStore } from './edgeStore.js';

type Get = (ref: BlobRef) => Promise<Uint8Array>;

/** Brings published versions to this edge: by the difference from the version it has, or whole. */
export class Versions {
  constructor(
    private readonly store: EdgeStore,
    private readonly downloads: Downloader,
    /** This gateway's samples. */
    private readonly data: { readonly shape: readonly number[]; readonly stream: string | undefined },
    private readonly log: Logger,
  ) {}

  /** @param current the version that is loaded. Throws `layout-mismatch` where the version does not fit here. */
  async load(manifest: Manifest, current: Artifact | undefined, signal: AbortSignal): Promise<Artifact> {
    const get: Get = async (ref) => {
      const known = await this.store.blob(ref.sha256);
      if (known) return known;
      const blob = await this.downloads.fetch(ref, signal);
      await this.store.saveBlob(ref.sha256, blob);
      return blob;
    };
    const artifact =
      (await this.#fromDifference(manifest, current, get)) ??
      readArtifact(await get(manifest.infer), await get(manifest.train));
    if (artifact.layout.hash !== manifest.layout) {
      throw new ProtocolError(
        'layout-mismatch',
        `the model's layout is ${artifact.layout.hash}, the manifest says ${manifest.layout}`,
      );
    }
    const sample = artifact.info.input.shape.slice(1);
    const mine = this.data.shape;
    if (sample.join() !== mine.join()) {
      throw new ProtocolError(
        'layout-mismatch',
        `the model takes samples of shape [${sample.join(', ')}]; this gateway has [${mine.join(', ')}]`,
      );
    }
    if (manifest.stream !== this.data.stream) {
      throw new ProtocolError(
        'layout-mismatch',
        'the model was made for windows cut in another way: data.stream must be the same here and in the cloud',
      );
    }
    return artifact;
  }

  /** The new version from the one this edge has and the published difference; undefined where the whole must be fetched. */
  async #fromDifference(
    manifest: Manifest,
    current: Artifact | undefined,
    get: (ref: BlobRef) => Promise<Uint8Array>,
  ): Promise<Artifact | undefined> {
    const { difference, infer } = manifest;
    if (!difference || (await this.store.blob(infer.sha256))) return undefined;
    let base = current;
    if (base?.sha256 !== difference.from) {
      const known = await this.store.blob(difference.from);
      if (!known) return undefined;
      base = readArtifact(known, await get(manifest.train));
    }
    const payload = await get(difference);
    try {
      const next = applyDifference(base, payload, difference.codec);
      if (next.sha256 === infer.sha256) {
        await this.store.saveBlob(infer.sha256, next.infer);
        return next;
      }
      this.log.warn({ version: manifest.version }, 'the difference leads to other bytes: fetching the whole version');
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.log.warn({ reason: error.reason, detail: error.message }, 'difference refused: fetching the whole version');
    }
    return undefined;
  }
}
