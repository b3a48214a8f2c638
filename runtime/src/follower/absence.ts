/** Shorter interruptions strike single gateways; after longer ones all of a site come back at once. */
const LONG_MS = 60_000;

/** Spreads gateways that come back after a long time over a while, so that they do not all ask for models at once. */
export class Absence {
  #since: number | undefined;

  constructor(
    private readonly catchUpSeconds: number,
    private readonly random: () => number = Math.random,
    /** Milliseconds on a clock that nobody sets. */
    private readonly clock: () => number = () => performance.now(),
  ) {}

  /** The connection is gone, or still is. */
  lost(): void {
    this.#since ??= this.clock();
  }

  /** The connection is there: milliseconds to wait before catching up. */
  back(): number {
    const away = this.#since === undefined ? 0 : this.clock() - this.#since;
    this.#since = undefined;
    return away < LONG_MS ? 0 : this.random() * this.catchUpSeconds * 1000;
  }
}
