import { classIndex, type RowSink, type StreamConfig, type StreamWindow, Windower } from '@ecavg/models';
import type { Logger } from '@ecavg/runtime';
import type { BadInput, Intake } from '../sources/source.js';
import type { Quality } from './quality.js';
import type { Origin, SampleStore } from './sampleStore.js';

/** A reading further ahead of this machine's clock than this has a wrong time: one of the next century would end the stream. */
const AHEAD_MS = 24 * 3600_000;
const LOG_GAP_MS = 60_000;

/** Hears of every window, and whether it is of now. */
export type Listener = (window: StreamWindow, live: boolean) => void;

/** Brings what sources read into windows, and these into the store. */
export class StreamIntake implements Intake {
  readonly #live: Windower;
  readonly #logged = new Map<string, number>();

  constructor(
    private readonly stream: StreamConfig,
    private readonly store: SampleStore,
    private readonly quality: Quality,
    private readonly disk: { readonly hasRoom: boolean },
    private readonly listener: Listener,
    private readonly log: Logger,
  ) {
    this.#live = new Windower(stream, (window) => this.#window(window, { recording: '', number: 0 }), store.until);
    quality.watch(this.#live);
  }

  reading(channel: number, at: number, value: number): void {
    if (at > Date.now() + AHEAD_MS) return this.#count('future', `a reading of ${new Date(at).toISOString()}`);
    this.#live.reading(channel, at, value);
  }

  gone(channel: number, at: number): void {
    if (at <= Date.now() + AHEAD_MS) this.#live.gone(channel, at);
  }

  label(at: number, name: string): void {
    if (at <= Date.now() + AHEAD_MS) this.#live.label(at, this.#class(name));
  }

  bad(reason: BadInput, detail: string): void {
    this.#count(
      reason.replace(/-(.)/g, (_, c: string) => c.toUpperCase()),
      detail,
    );
  }

  /**
   * A recording of its own, whatever its time: `read` gives its rows. Windows that an earlier run has dealt with are passed over, as the
   * same rows give the same windows.
   */
  async recording(name: string, read: (sink: RowSink) => Promise<void>): Promise<number> {
    const dealt = this.store.dealt(name);
    let number = 0;
    const windower = new Windower(this.stream, (window) => {
      number++;
      if (number > dealt) this.#window(window, { recording: name, number });
    });
    this.quality.watch(windower);
    try {
      await read({
        reading: (channel, at, value) => windower.reading(channel, at, value),
        label: (at, label) => windower.label(at, this.#class(label)),
        bad: (why) => this.bad('row', why),
      });
      windower.flush();
    } finally {
      this.quality.ended(windower);
    }
    return number;
  }

  #class(name: string): number {
    const index = classIndex(this.stream, name);
    if (index === undefined) this.#count('unknownLabel', `label ${JSON.stringify(name.slice(0, 80))}`);
    return index ?? -1;
  }

  #window(window: StreamWindow, origin: Origin): void {
    try {
      if (!this.disk.hasRoom) throw new Error('the disk has less room than power.minFreeMegabytes');
      const kept = this.store.add(window, origin);
      this.quality.count(kept ? 'windows' : this.store.trains(window) ? 'onBorder' : 'unlabelled');
    } catch (error) {
      this.#count('notStored', (error as Error).message);
    }
    this.listener(window, origin.recording === '');
  }

  /** Counts what can't be used, and logs the first of a kind in a while. */
  #count(what: string, detail: string): void {
    this.quality.count(what);
    const now = performance.now();
    if (now - (this.#logged.get(what) ?? Number.NEGATIVE_INFINITY) < LOG_GAP_MS) return;
    this.#logged.set(what, now);
    this.log.warn({ reason: what, detail, total: this.quality.totals[what] }, 'input that can not be used');
  }
}
