import { encodeMessage } from '@ecavg/protocol';
import type { Names } from './identity.js';

/** What a node's status says besides who it is. */
export interface Present {
  readonly online: boolean;
  /** That it can train on; 0: it is not waited for. */
  readonly samples: number;
  /** In hand; 0: none yet. */
  readonly version: number;
}

interface PresenceParts {
  readonly names: Pick<Names, 'edge' | 'model'>;
  /** See Identity: a late last will of an earlier session counts for nothing. */
  readonly session: number;
  readonly software: string;
  now(): Present;
  publish(status: Uint8Array): void;
}

/** A node's status message, retained at the broker, and its last will. */
export class Presence {
  /** What was said last on this connection; nothing is said twice. */
  #said: Buffer | undefined;

  constructor(private readonly parts: PresenceParts) {}

  /** Says what has changed. */
  tell(): void {
    const status = Buffer.from(this.status(this.parts.now()));
    if (this.#said?.equals(status)) return;
    this.#said = status;
    this.parts.publish(status);
  }

  /** A new connection: the broker may have said the last will meanwhile, or have forgotten all. */
  tellAnew(): void {
    this.#said = undefined;
    this.tell();
  }

  status({ online, samples, version }: Present): Uint8Array {
    const { names, session, software } = this.parts;
    const { edge, model } = names;
    return encodeMessage('status', { edge, online, session, software, samples, models: { [model]: version } });
  }
}
