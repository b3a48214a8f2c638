import { classIndex, type RowSink, type StreamConfig, type StreamWindow, Windower } from '@ecavg/models';
import { CodedError } from '@ecavg/protocol/errors';
import type { Logger } from '@ecavg/runtime';
import { BAD_INPUT, type BadInput, type Intake, type RecordingIntake } from '../sources/source.js';
import type { TypedSettings } from '../sources/typedSettings.js';
import type { Quality } from './quality.js';
import type { Origin, SampleStore } from './sampleStore.js';
import { type Take, TransformChain } from './transforms.js';

/** A reading further ahead of this machine's clock than this has a wrong time: one of the next century would end the stream. */
const AHEAD_MS = 24 * 3600_000;
const LOG_GAP_MS = 60_000;
const DETAIL_LENGTH = 500;

/** What brings readings into the store. */
export interface IntakeParts {
  readonly stream: StreamConfig;
  /** What readings go through before they become windows. */
  readonly transforms: readonly TypedSettings[];
  readonly store: SampleStore;
  readonly quality: Quality;
  readonly disk: { readonly hasRoom: boolean };
  /** Hears of every window; `live`: its readings came from sensors just now, and not from a recording. */
  readonly found: (window: StreamWindow, live: boolean) => void;
  readonly log: Logger;
}

/**
 * Brings what sources read into windows, and these into the store. What sources of extensions say is not believed: whatever is no reading
 * is counted.
 */
export class StreamIntake implements Intake, RecordingIntake {
  readonly #live: Windower;
  readonly #transforms: TransformChain;
  readonly #logged = new Map<string, number>();

  /** @throws ConfigError where a transform can't be made. */
  constructor(private readonly parts: IntakeParts) {
    const { stream, store, quality } = parts;
    this.#live = new Windower(stream, (window) => this.#window(window, { recording: '', number: 0 }), store.until);
    this.#transforms = this.#chain();
    quality.watch(this.#live);
  }

  reading(channel: number, at: number, value: number): void {
    if (!this.#isTime(at) || this.#isFuture(at)) return;
    this.#through(this.#transforms, { channel, at, value }, (c, t, v) => {
      if (!this.#isFuture(t)) this.#live.reading(c, t, v);
    });
  }

  gone(channel: number, at: number): void {
    if (!this.#isTime(at) || at > Date.now() + AHEAD_MS) return;
    this.#transforms.gone(channel, at);
    this.#live.gone(channel, at);
  }

  label(at: number, name: string): void {
    if (this.#isTime(at) && at <= Date.now() + AHEAD_MS) this.#live.label(at, this.#class(name));
  }

  bad(reason: BadInput, detail: string): void {
    const known = BAD_INPUT.includes(reason) ? reason : 'other';
    this.#count(
      known.replace(/-(.)/g, (_, c: string) => c.toUpperCase()),
      (typeof detail === 'string' ? detail : typeof detail).slice(0, DETAIL_LENGTH),
    );
  }

  /**
   * A recording of its own, whatever its time: `read` gives its rows. Windows that an earlier run has dealt with are passed over, as the
   * same rows give the same windows.
   */
  async recording(name: string, read: (sink: RowSink) => Promise<void>): Promise<number> {
    const { stream, store, quality } = this.parts;
    const dealt = store.dealt(name);
    let number = 0;
    const transforms = this.#chain();
    const windower = new Windower(stream, (window) => {
      number++;
      if (number > dealt) this.#window(window, { recording: name, number });
    });
    const take: Take = (channel, at, value) => windower.reading(channel, at, value);
    quality.watch(windower);
    try {
      await read({
        reading: (channel, at, value) => {
          if (this.#isTime(at)) this.#through(transforms, { channel, at, value }, take);
        },
        label: (at, label) => {
          if (this.#isTime(at)) windower.label(at, this.#class(label));
        },
        bad: (why) => this.bad('row', why),
      });
      windower.flush();
    } finally {
      quality.ended(windower);
    }
    return number;
  }

  #chain(): TransformChain {
    const { transforms, stream } = this.parts;
    return new TransformChain(transforms, stream, (detail) => this.bad('transform', detail));
  }

  #through(transforms: TransformChain, reading: { channel: number; at: number; value: number }, take: Take): void {
    const { channel, value } = reading;
    if (!Number.isInteger(channel) || this.parts.stream.channels[channel] === undefined)
      this.bad('no-channel', `channel ${shown(channel)}`);
    else if (typeof value !== 'number') this.bad('not-a-number', `the value ${shown(value)}`);
    else transforms.reading(reading, take);
  }

  #isTime(at: number): boolean {
    const is = typeof at === 'number' && this.#live.isTime(at);
    if (!is) this.bad('no-time', `${shown(at)} is no time in ms since 1970`);
    return is;
  }

  #isFuture(at: number): boolean {
    const is = at > Date.now() + AHEAD_MS;
    if (is) this.#count('future', `a reading of ${timeText(at)}`);
    return is;
  }

  #class(name: string): number {
    const index = typeof name === 'string' ? classIndex(this.parts.stream, name) : undefined;
    if (index === undefined) this.#count('unknownLabel', `label ${shown(name)}`);
    return index ?? -1;
  }

  #window(window: StreamWindow, origin: Origin): void {
    const { disk, store, quality, found } = this.parts;
    try {
      if (!disk.hasRoom) throw new CodedError('ECAVG_STORAGE', 'the disk has less room than power.minFreeMegabytes');
      const kept = store.add(window, origin);
      quality.count(kept ? 'windows' : store.trains(window) ? 'onBorder' : 'unlabelled');
    } catch (error) {
      this.#count('notStored', (error as Error).message);
    }
    found(window, origin.recording === '');
  }

  /** Counts what can't be used, and logs the first of a kind in a while. */
  #count(what: string, detail: string): void {
    const { quality, log } = this.parts;
    quality.count(what);
    const now = performance.now();
    if (now - (this.#logged.get(what) ?? Number.NEGATIVE_INFINITY) < LOG_GAP_MS) return;
    this.#logged.set(what, now);
    log.warn({ reason: what, detail, total: quality.totals[what] }, 'input that can not be used');
  }
}

/** What an extension said, whatever it is. */
function shown(what: unknown): string {
  if (typeof what === 'string') return JSON.stringify(what.slice(0, 80));
  return typeof what === 'number' || what === null || what === undefined ? String(what) : `a ${typeof what}`;
}

/** Not every number of milliseconds is a date. */
const timeText = (at: number): string => (Math.abs(at) <= 8.64e15 ? new Date(at).toISOString() : `${at} ms`);
