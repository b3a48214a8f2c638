import type { Artifact } from '@ecavg/models';
import type { Manifest, Receipt } from '@ecavg/protocol';
import type { Logger, Sender, Steps } from '@ecavg/runtime';
import type { Kind, Sharing } from './sharing.js';

interface SharesParts {
  readonly edge: string;
  readonly model: string;
  readonly topic: string;
  readonly sharing: Sharing;
  readonly sender: Sender;
  readonly steps: Steps;
  readonly log: Logger;
}

interface Share {
  readonly id: string;
  readonly blob: Uint8Array;
  readonly kind: Kind;
}

/** What this site gives by opt-in, on its way to the cloud: one blob after another, each until the cloud has said what becomes of it. */
export class Shares {
  /** Blobs still to be given, the first of them under way; `base`: sha256 of the version that asked for them. */
  #waiting: { readonly base: string; readonly blobs: Share[] } = { base: '', blobs: [] };

  constructor(private readonly parts: SharesParts) {}

  /** What a version asks this site for, and the site gives. */
  wanted(manifest: Manifest, artifact: Artifact): Promise<Share[]> {
    return this.parts.sharing.wanted(manifest, artifact);
  }

  /** Sends these, in place of what still waits of an earlier version. */
  give(blobs: readonly Share[], base: string): void {
    this.#waiting = { base, blobs: [...blobs] };
    this.resume();
  }

  resume(): void {
    const { base, blobs } = this.#waiting;
    const [next] = blobs;
    if (!next) return;
    const { edge, model, topic, sender } = this.parts;
    sender.start({ id: next.id, blob: next.blob, type: 'share', topic, about: { edge, model, base } });
  }

  /** Takes a receipt, where it is for one of these. */
  answered(receipt: Receipt): void {
    const { sender, steps } = this.parts;
    if (sender.concerns(receipt) && sender.answered(receipt)) steps.run(() => this.#ended(receipt));
  }

  stop(): void {
    this.parts.sender.done();
  }

  async #ended(receipt: Receipt): Promise<void> {
    const { sharing, sender, log } = this.parts;
    // Another receipt has ended it.
    if (!sender.concerns(receipt)) return;
    const { status, reason, detail } = receipt;
    const blob = this.#waiting.blobs.shift();
    sender.done();
    if (status === 'accepted' && blob) {
      await sharing.given(blob.kind);
      log.info({ kind: blob.kind, bytes: blob.blob.length }, 'shared with the cloud');
    } else log.warn({ reason, detail }, 'the cloud did not want what is shared');
    this.resume();
  }
}
