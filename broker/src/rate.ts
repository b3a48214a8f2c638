/** A token bucket: `rate` a second, and up to `burst` at once. Time is in milliseconds. */
export class Bucket {
  #tokens: number;
  #at: number;
  constructor(
    private readonly rate: number,
    private readonly burst: number,
    now: number,
  ) {
    this.#tokens = burst;
    this.#at = now;
  }

  /** Takes `count` and returns how long to wait until they are earned, ms; 0: go on at once. */
  take(count: number, now: number): number {
    this.#tokens = Math.min(this.burst, this.#tokens + (Math.max(0, now - this.#at) * this.rate) / 1000);
    this.#at = now;
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.rate) * 1000;
  }
}

/** Slows a client that sends more than its share: what waits here is not read from its connection. */
export class Rates {
  readonly #messages: Bucket | undefined;
  readonly #bytes: Bucket | undefined;

  /** 0: no limit. A client may send ten seconds' worth at once, or one message of any size. */
  constructor(messagesPerSecond: number, bytesPerSecond: number, now: number) {
    if (messagesPerSecond > 0) this.#messages = new Bucket(messagesPerSecond, 10 * messagesPerSecond, now);
    if (bytesPerSecond > 0) this.#bytes = new Bucket(bytesPerSecond, 10 * bytesPerSecond, now);
  }

  /** How long to wait before a message of `bytes` is taken, ms. */
  wait(bytes: number, now: number): number {
    return Math.max(this.#messages?.take(1, now) ?? 0, this.#bytes?.take(bytes, now) ?? 0);
  }
}
