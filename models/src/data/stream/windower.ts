import type { StreamConfig } from './schema.js';
import { makeWindow, type StreamWindow } from './window.js';

/** What became of a channel's readings and ticks, counted since the start. */
export interface ChannelQuality {
  readings: number;
  /** Not a number, or outside min and max. */
  outOfRange: number;
  /** Older than the ticks that were already cut. */
  late: number;
  ticks: number;
  /** Ticks without a value that is young enough. */
  missing: number;
  /** Ticks at which the value had not moved for `stuckSeconds`. */
  stuck: number;
}

/** Readings of one tick; none: the sensor said that it has no value from here on. */
interface Cell {
  sum: number;
  count: number;
}

class Channel {
  readonly pending = new Map<number, Cell>();
  readonly quality: ChannelQuality = { readings: 0, outOfRange: 0, late: 0, ticks: 0, missing: 0, stuck: 0 };
  /** Last value and the tick it came at; undefined while there is none that counts. */
  last: { value: number; tick: number } | undefined;
  /** Since which tick the value is exactly this. */
  same: { value: number; tick: number } | undefined;
}

/**
 * Brings the readings of several sensors, in whatever order and rate they come, onto one grid of ticks and cuts windows from it.
 *
 * A tick's value is the mean of the readings since the tick before; without any, the last reading that is not older than
 * `maxAgeSeconds`; otherwise it is missing. Time is that of the readings alone: a tick is settled once a reading `latenessSeconds`
 * newer has come, so the same readings give the same windows whenever they are replayed. Windows go to the callback as they are cut.
 */
export class Windower {
  readonly #channels: readonly Channel[];
  readonly #labels: { tick: number; label: number }[] = [];
  readonly #stride: number;
  readonly #lateness: number;
  readonly #maxAge: number;
  /** The last `window` ticks, as rings: what is missing is NaN. */
  readonly #values: Float64Array;
  readonly #classes: Int32Array;
  #label = -1;
  /** Ticks in the rings, at most `window`, and those to go until the next window. */
  #filled = 0;
  #wait = 0;
  /** Ticks without any value in a row. */
  #idle = 0;
  /** The tick to be settled next; undefined before the first reading. */
  #next: number | undefined;
  #newest = Number.NEGATIVE_INFINITY;
  /** Windows of which too little was measured. */
  dropped = 0;

  /** @param from readings before this time (ms since 1970) are late: what an earlier run has dealt with. */
  constructor(
    private readonly stream: StreamConfig,
    private readonly found: (window: StreamWindow) => void,
    from?: number,
  ) {
    this.#channels = stream.channels.map(() => new Channel());
    this.#stride = stream.stride ?? stream.window;
    this.#lateness = Math.round(stream.latenessSeconds * stream.rateHz);
    this.#maxAge = Math.round(stream.maxAgeSeconds * stream.rateHz);
    this.#values = new Float64Array(stream.channels.length * stream.window).fill(Number.NaN);
    this.#classes = new Int32Array(stream.window).fill(-1);
    if (from !== undefined) this.#next = this.#tickOf(from) + 1;
  }

  get quality(): readonly ChannelQuality[] {
    return this.#channels.map((c) => c.quality);
  }

  /** Whether a number is a time, in ms since 1970, whose tick can be counted on from. */
  isTime(at: number): boolean {
    return Number.isSafeInteger(this.#tickOf(at));
  }

  /** A value of a channel at a time in ms since 1970. */
  reading(channel: number, at: number, value: number): void {
    const c = this.#channels[channel];
    if (!c || !this.isTime(at)) return;
    c.quality.readings++;
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = this.stream.channels[channel] ?? {};
    if (!(value >= min && value <= max && Number.isFinite(value))) {
      c.quality.outOfRange++;
      return;
    }
    const cell = this.#cell(c, at);
    if (!cell) {
      c.quality.late++;
      return;
    }
    cell.sum += value;
    cell.count++;
    this.#seen(this.#tickOf(at));
  }

  /** The sensor says that it has no value from now on. */
  gone(channel: number, at: number): void {
    const c = this.#channels[channel];
    if (c && this.isTime(at) && this.#cell(c, at)) this.#seen(this.#tickOf(at));
  }

  /** From this time on the label is this class; -1: none. */
  label(at: number, label: number): void {
    if (!this.isTime(at)) return;
    const tick = this.#tickOf(at);
    let i = this.#labels.length;
    // Files say the label again in every row.
    const before = this.#labels[i - 1];
    if (before ? before.tick <= tick && before.label === label : this.#label === label) return;
    while (i > 0 && (this.#labels[i - 1]?.tick ?? 0) > tick) i--;
    this.#labels.splice(i, 0, { tick, label });
  }

  /** Settles everything that is there: the end of a recording. */
  flush(): void {
    this.#settle(this.#newest);
  }

  /** Where readings of this time are gathered; undefined where the tick is settled already. */
  #cell(channel: Channel, at: number): Cell | undefined {
    const tick = this.#tickOf(at);
    this.#next ??= tick;
    if (tick < this.#next) return undefined;
    const there = channel.pending.get(tick);
    if (there) return there;
    const cell = { sum: 0, count: 0 };
    channel.pending.set(tick, cell);
    return cell;
  }

  #tickOf(at: number): number {
    // The small number makes up for rounding: a reading at the very time of a tick belongs to it, not to the next.
    return Math.ceil((at * this.stream.rateHz) / 1000 - 1e-6);
  }

  #timeOf(tick: number): number {
    return (tick * 1000) / this.stream.rateHz;
  }

  #seen(tick: number): void {
    if (tick <= this.#newest) return;
    this.#newest = tick;
    this.#settle(tick - this.#lateness - 1);
  }

  /** Settles every tick up to and with this one. */
  #settle(until: number): void {
    if (this.#next === undefined) return;
    while (this.#next <= until) {
      this.#idle = this.#silent(this.#next) ? this.#idle + 1 : 0;
      if (this.#idle > this.stream.window) this.#leap(until);
      else this.#tick(this.#next++);
    }
  }

  /** Whether no channel has a value at this tick. */
  #silent(tick: number): boolean {
    return this.#channels.every((c) => !c.pending.has(tick) && (!c.last || tick - c.last.tick > this.#maxAge));
  }

  /** Skips the rest of a silence that is longer than a window: windows begin anew with the next reading. */
  #leap(until: number): void {
    this.#filled = 0;
    this.#wait = 0;
    let first = until + 1;
    for (const c of this.#channels) for (const tick of c.pending.keys()) first = Math.min(first, tick);
    this.#next = first;
  }

  #tick(tick: number): void {
    const { window } = this.stream;
    const at = ((tick % window) + window) % window;
    for (const [c, channel] of this.#channels.entries()) {
      this.#values[c * window + at] = this.#valueAt(c, channel, tick);
    }
    while (this.#labels[0] && this.#labels[0].tick <= tick) this.#label = this.#labels.shift()?.label ?? -1;
    this.#classes[at] = this.#label;
    if (this.#filled < window) this.#filled++;
    if (this.#wait > 0) this.#wait--;
    if (this.#filled < window || this.#wait > 0) return;
    this.#wait = this.#stride;
    this.#cut(tick);
  }

  #valueAt(index: number, channel: Channel, tick: number): number {
    const { quality } = channel;
    quality.ticks++;
    const cell = channel.pending.get(tick);
    channel.pending.delete(tick);
    if (cell?.count === 0) channel.last = undefined;
    else if (cell) {
      const value = cell.sum / cell.count;
      channel.last = { value, tick };
      if (channel.same?.value !== value) channel.same = { value, tick };
    }
    const { last, same } = channel;
    if (!last || tick - last.tick > this.#maxAge) {
      quality.missing++;
      return Number.NaN;
    }
    const { stuckSeconds = 0 } = this.stream.channels[index] ?? {};
    if (stuckSeconds > 0 && same && tick - same.tick >= stuckSeconds * this.stream.rateHz) {
      quality.stuck++;
      return Number.NaN;
    }
    return last.value;
  }

  /** The window that ends at this tick. */
  #cut(tick: number): void {
    const { window, channels } = this.stream;
    const first = (((tick + 1) % window) + window) % window;
    const values = new Float64Array(channels.length * window);
    const labels = new Int32Array(window);
    for (let c = 0; c < channels.length; c++) {
      const ring = this.#values.subarray(c * window, (c + 1) * window);
      values.set(ring.subarray(first), c * window);
      values.set(ring.subarray(0, first), c * window + window - first);
    }
    labels.set(this.#classes.subarray(first));
    labels.set(this.#classes.subarray(0, first), window - first);
    const from = this.#timeOf(tick - window + 1);
    const made = makeWindow(this.stream, { values, labels }, from, this.#timeOf(tick));
    if (made) this.found(made);
    else this.dropped++;
  }
}
