import type { Manifest } from '@ecavg/protocol';
import { CodedError } from '@ecavg/protocol/errors';
import type { Downloader } from './download.js';
import type { Following, InHand, VersionFiles } from './model.js';
import type { Steps } from './steps.js';
import type { Trust } from './trust.js';
import type { VersionLoader } from './versionLoader.js';

/** The newest version that was heard of, and what has become of it. */
type Wanted =
  | { readonly kind: 'nothing' }
  /** Waits for its turn, or is being fetched; its chunks go away when a newer version is published. */
  | { readonly kind: 'coming'; readonly manifest: Manifest; readonly abort: AbortController }
  | { readonly kind: 'failed'; readonly manifest: Manifest; readonly retry: NodeJS.Timeout }
  | { readonly kind: 'taken'; readonly manifest: Manifest };

interface VersionsParts<A extends VersionFiles> {
  readonly loader: VersionLoader<A>;
  readonly downloads: Downloader;
  readonly trust: Trust;
  readonly steps: Steps;
  /** Until a version that could not be taken is tried again. */
  readonly retrySeconds: number;
  /** A version is in hand. Where this throws, it is taken once more. */
  taken(now: InHand<A>, about: Taken<A>): Promise<void>;
  /** The weights in hand are published under another number, or the cloud asks once more. */
  again(now: InHand<A>): Promise<void>;
}

/** How a version came. */
export interface Taken<A> {
  readonly before: Following<A>;
  readonly bytesDown: number;
  /** Aborts when a newer one is published. */
  readonly signal: AbortSignal;
}

/** Takes one published version after another, the newest that was heard of first. */
export class Versions<A extends VersionFiles> {
  #following: Following<A> = { kind: 'no-version' };
  #wanted: Wanted = { kind: 'nothing' };

  constructor(private readonly parts: VersionsParts<A>) {}

  get following(): Following<A> {
    return this.#following;
  }

  /** A manifest came that is believed. */
  want(manifest: Manifest): void {
    const { steps } = this.parts;
    const wanted = this.#wanted;
    const known = wanted.kind === 'coming' || wanted.kind === 'taken';
    if (known && wanted.manifest.infer.sha256 === manifest.infer.sha256) {
      steps.run(() => this.#same(manifest));
      return;
    }
    this.#giveUp(`version ${manifest.version} was published`);
    this.#come(manifest);
  }

  /** Ends the download in hand. */
  stop(): void {
    this.#giveUp('stopping');
  }

  #giveUp(why: string): void {
    const wanted = this.#wanted;
    if (wanted.kind === 'coming') wanted.abort.abort(new CodedError('ECAVG_STOPPED', why));
    if (wanted.kind === 'failed') clearTimeout(wanted.retry);
  }

  #come(manifest: Manifest): void {
    const abort = new AbortController();
    const coming: Wanted = { kind: 'coming', manifest, abort };
    this.#wanted = coming;
    this.parts.steps.run(async () => {
      // A newer one came while this one waited for its turn.
      if (this.#wanted !== coming) return;
      try {
        await this.#take(manifest, abort.signal);
        if (this.#wanted === coming) this.#wanted = { kind: 'taken', manifest };
      } catch (error) {
        if (abort.signal.aborted) return;
        this.#retryLater(manifest);
        throw error;
      }
    });
  }

  #retryLater(manifest: Manifest): void {
    const retry = setTimeout(() => this.#come(manifest), this.parts.retrySeconds * 1000);
    this.#wanted = { kind: 'failed', manifest, retry };
  }

  async #take(manifest: Manifest, signal: AbortSignal): Promise<void> {
    const { trust, loader, downloads, taken } = this.parts;
    await trust.remember(manifest);
    const before = this.#following;
    const bytes = downloads.bytes;
    const artifact = await loader.load(manifest, before, signal);
    const now: InHand<A> = { kind: 'in-hand', manifest, artifact };
    this.#following = now;
    await taken(now, { before, bytesDown: downloads.bytes - bytes, signal });
  }

  /** The weights are in hand already; their version may have another number now, or the cloud asks once more. */
  async #same(manifest: Manifest): Promise<void> {
    const current = this.#following;
    if (current.kind === 'no-version' || current.artifact.sha256 !== manifest.infer.sha256) {
      // They could not be taken: the next try is for the new number.
      const wanted = this.#wanted;
      if (wanted.kind !== 'failed' || wanted.manifest.infer.sha256 !== manifest.infer.sha256) return;
      clearTimeout(wanted.retry);
      this.#retryLater(manifest);
      return;
    }
    await this.parts.trust.remember(manifest);
    const now: InHand<A> = { ...current, manifest };
    this.#following = now;
    if (manifest.version !== current.manifest.version || manifest.canary !== undefined) await this.parts.again(now);
  }
}
