import { type BlobRef, codec, type Manifest, ProtocolError } from '@ecavg/protocol';
import type { Logger } from '../logger.js';
import type { BlobStore } from './blobStore.js';
import type { Downloader } from './download.js';
import type { Following, ModelReader, VersionFiles } from './model.js';

interface LoaderParts<A extends VersionFiles> {
  readonly models: ModelReader<A>;
  readonly blobs: BlobStore;
  readonly downloads: Downloader;
  readonly log: Logger;
  /** @throws `layout-mismatch` where a version can't be used here. */
  fits(manifest: Manifest, artifact: A): void;
}

/** Brings published versions to a node: by the difference from one that it has, or whole. */
export class VersionLoader<A extends VersionFiles> {
  constructor(private readonly parts: LoaderParts<A>) {}

  /** A published file: from the disk, or downloaded and kept there. */
  async fetch(ref: BlobRef, signal: AbortSignal): Promise<Uint8Array> {
    const { blobs, downloads } = this.parts;
    const known = await blobs.get(ref.sha256);
    if (known) return known;
    const blob = await downloads.fetch(ref, signal);
    await blobs.put(ref.sha256, blob);
    return blob;
  }

  /** @throws `layout-mismatch` where the files are not what the manifest says, or don't fit here. */
  async load(manifest: Manifest, current: Following<A>, signal: AbortSignal): Promise<A> {
    const { models, fits } = this.parts;
    const artifact =
      (await this.#fromDifference(manifest, current, signal)) ??
      models.read(await this.fetch(manifest.infer, signal), await this.fetch(manifest.train, signal));
    if (artifact.layout.hash !== manifest.layout) {
      throw new ProtocolError(
        'layout-mismatch',
        `the model's layout is ${artifact.layout.hash}, the manifest says ${manifest.layout}`,
      );
    }
    fits(manifest, artifact);
    return artifact;
  }

  /** Undefined where the whole must be fetched: no difference leads on from what is here, or it leads elsewhere. */
  async #fromDifference(manifest: Manifest, current: Following<A>, signal: AbortSignal): Promise<A | undefined> {
    const { models, blobs, log } = this.parts;
    const { difference, infer, version } = manifest;
    if (!difference || (await blobs.get(infer.sha256))) return undefined;
    try {
      const base = await this.#base(manifest, difference.from, current, signal);
      if (!base) return undefined;
      const next = models.withWeights(
        base,
        addDifference(base, await this.fetch(difference, signal), difference.codec),
      );
      if (next.sha256 === infer.sha256) {
        await blobs.put(infer.sha256, next.infer);
        return next;
      }
      log.warn({ version }, 'the difference leads to other bytes: fetching the whole version');
    } catch (error) {
      if (signal.aborted) throw error;
      const about = error instanceof ProtocolError ? { reason: error.reason, detail: error.message } : { err: error };
      log.warn({ version, ...about }, 'difference refused: fetching the whole version');
    }
    return undefined;
  }

  /** The version that a difference leads on from, with the training graph of the new one. */
  async #base({ train }: Manifest, from: string, current: Following<A>, signal: AbortSignal): Promise<A | undefined> {
    const { models, blobs } = this.parts;
    const inHand = current.kind === 'in-hand' && current.artifact.sha256 === from ? current : undefined;
    if (inHand && inHand.manifest.train.sha256 === train.sha256) return inHand.artifact;
    const infer = inHand?.artifact.infer ?? (await blobs.get(from));
    return infer && models.read(infer, await this.fetch(train, signal));
  }
}

/** @throws ProtocolError where the payload does not fit. */
function addDifference({ layout, weights }: VersionFiles, payload: Uint8Array, codecName: string): Float32Array {
  const coder = codec(codecName);
  coder.check(payload, layout);
  const next = weights.slice();
  coder.accumulate(payload, layout, 1, next);
  return next;
}
