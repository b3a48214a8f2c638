import type { CloudEvent } from '@ecavg/cloud';
import { CodedError } from '@ecavg/protocol/errors';
import { followEvents } from './events.js';

/** Waits for events that a cloud emits; every wait has a limit, and none sleeps. */
export class Watcher {
  readonly seen: CloudEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #stop = new AbortController();
  #ended = '';

  /** @param limitMs how long a wait may take that is given no limit of its own */
  constructor(
    readonly url: string,
    private readonly limitMs = 60_000,
  ) {
    void this.#follow();
  }

  async #follow(): Promise<void> {
    try {
      for await (const event of followEvents(this.url, this.#stop.signal)) {
        this.seen.push(event);
        for (const wake of this.#waiting) wake();
      }
    } catch (error) {
      // The cloud was stopped or killed: whoever still waits runs into its limit, and is told.
      this.#ended = (error as Error).message;
    }
  }

  /** The first event, from now back to the start, of this type that fits. */
  until(
    type: CloudEvent['type'],
    fits: (data: CloudEvent['data']) => boolean = () => true,
    ms = this.limitMs,
  ): Promise<CloudEvent> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#waiting.delete(look);
        const tail = this.seen.slice(-8).map((e) => `${e.type} ${JSON.stringify(e.data).slice(0, 200)}`);
        reject(
          new CodedError(
            'ECAVG_DEMO',
            `no event ${type} within ${ms} ms; the last were:\n${tail.join('\n')}${this.#ended && `\nthe stream ended: ${this.#ended}`}`,
          ),
        );
      }, ms);
      const look = (): void => {
        const found = this.seen.find((e) => e.type === type && fits(e.data));
        if (!found) return;
        clearTimeout(limit);
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }

  close(): void {
    this.#stop.abort();
  }
}
