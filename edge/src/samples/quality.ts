import type { ChannelQuality, StreamConfig, Windower } from '@ecavg/models';

type Counts = Record<string, number>;

const KEYS = ['readings', 'outOfRange', 'late', 'ticks', 'missing', 'stuck'] as const;

/** Data quality between one report and the next, from counters that only grow. */
export class Quality {
  /** Sum over the windowers of recordings, which come and go. */
  readonly #past: ChannelQuality[];
  #before: ChannelQuality[];
  readonly #live = new Set<Windower>();
  #totals: Counts = {};
  #last: Counts = {};

  constructor(private readonly stream: StreamConfig) {
    const zero = (): ChannelQuality[] =>
      stream.channels.map(() => ({ readings: 0, outOfRange: 0, late: 0, ticks: 0, missing: 0, stuck: 0 }));
    this.#past = zero();
    this.#before = zero();
  }

  watch(windower: Windower): void {
    this.#live.add(windower);
  }

  /** A recording is over: what it counted stays. */
  ended(windower: Windower): void {
    this.#live.delete(windower);
    for (const [c, quality] of windower.quality.entries())
      for (const key of KEYS) (this.#past[c] as ChannelQuality)[key] += quality[key];
    this.count('dropped', windower.dropped);
  }

  count(what: string, by = 1): void {
    this.#totals[what] = (this.#totals[what] ?? 0) + by;
  }

  /** Counted since the start, by reason. */
  get totals(): Readonly<Counts> {
    const dropped = [...this.#live].reduce((a, w) => a + w.dropped, this.#totals.dropped ?? 0);
    return { ...this.#totals, ...(dropped > 0 && { dropped }) };
  }

  /** Since the last report: counts, and for each channel its readings and the shares of its ticks that were missing or stuck. */
  report(): { values: Counts; channels: Record<string, Counts> } {
    const now = this.#now();
    const channels: Record<string, Counts> = {};
    for (const [c, { name }] of this.stream.channels.entries()) {
      const [q, b] = [now[c] as ChannelQuality, this.#before[c] as ChannelQuality];
      const ticks = Math.max(1, q.ticks - b.ticks);
      channels[name] = {
        readings: q.readings - b.readings,
        outOfRange: q.outOfRange - b.outOfRange,
        late: q.late - b.late,
        missing: (q.missing - b.missing) / ticks,
        stuck: (q.stuck - b.stuck) / ticks,
      };
    }
    const { totals } = this;
    const values = Object.fromEntries(Object.entries(totals).map(([k, v]) => [k, v - (this.#last[k] ?? 0)]));
    this.#before = now;
    this.#last = { ...totals };
    return { values, channels };
  }

  #now(): ChannelQuality[] {
    return this.#past.map((past, c) => {
      const sum = { ...past };
      for (const windower of this.#live)
        for (const key of KEYS) sum[key] += (windower.quality[c] as ChannelQuality)[key];
      return sum;
    });
  }
}
