// Room power: what the hardware and its site allow: CPU time, heat, battery, hours, memory, disk.
// May import the packages, and no other room.
import { statfsSync } from 'node:fs';
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelError } from '@ecavg/models';
import type { Logger } from '@ecavg/runtime';
import type { PowerConfig } from './config.js';
import { untilAllowed } from './hours.js';
import { onBattery, temperature } from './system.js';

const LOOK_MS = 5000;
/** Degrees below the limit at which training goes on: it would begin and end all the time otherwise. */
const COOLER = 3;
/** Sleep that is owed adds up to this before it is taken: timers are no finer than a millisecond. */
const NAP_MS = 20;
/** The clock may be set, and hours changed with it. */
const LONGEST_MS = 60_000;
const DISK_LOOK_MS = 10_000;
const MEGABYTE = 1e6;

/** What a governor measures time by. */
export interface Clock {
  /** CPU time of the process and time of the clock, ms. */
  read(): { readonly cpuMs: number; readonly atMs: number };
  /** @throws the signal's reason where it aborts meanwhile. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const SYSTEM: Clock = {
  read() {
    const { user, system } = process.cpuUsage();
    return { cpuMs: (user + system) / 1000, atMs: performance.now() };
  },
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
};

interface GovernorParts {
  readonly dataDir: string;
  readonly log: Logger;
  /** CPU threads of a training step; default: 1. */
  readonly threads?: number;
  /** How long until it looks again whether training may go on. */
  readonly lookMs?: number;
  readonly clock?: Clock;
}

/** Keeps a gateway within what its hardware and its site allow. */
export class Governor {
  #owed = 0;
  readonly #clock: Clock;
  #mark: ReturnType<Clock['read']>;
  #looked = Number.NEGATIVE_INFINITY;
  #paused: string | undefined;
  #room: { at: number; is: boolean } | undefined;

  constructor(
    private readonly config: PowerConfig,
    private readonly parts: GovernorParts,
  ) {
    this.#clock = parts.clock ?? SYSTEM;
    this.#mark = this.#clock.read();
  }

  /** Takes the priority that is set; a system that has none is told of in the log. */
  start(): void {
    if (this.config.nice === 0) return;
    try {
      setPriority(this.config.nice);
    } catch (error) {
      this.parts.log.warn({ err: error, nice: this.config.nice }, 'the priority could not be set');
    }
  }

  /** Why training waits; undefined where it does not. */
  get paused(): string | undefined {
    return this.#paused;
  }

  /** Whether the disk has room for more samples. */
  get hasRoom(): boolean {
    const now = performance.now();
    if (!this.#room || now - this.#room.at > DISK_LOOK_MS)
      this.#room = { at: now, is: this.#freeBytes() >= this.config.minFreeMegabytes * MEGABYTE };
    return this.#room.is;
  }

  /** Milliseconds after which to ask again whether training may begin; 0: it may now. */
  async wait(): Promise<number> {
    const { why, ms } = await this.#obstacle();
    this.#tell(why);
    return why === undefined ? 0 : Math.min(ms, LONGEST_MS);
  }

  /**
   * Waits until training may begin; call it before the first step.
   * @throws the signal's reason where it aborts meanwhile.
   */
  async begin(signal: AbortSignal): Promise<void> {
    this.#owed = 0;
    this.#looked = Number.NEGATIVE_INFINITY;
    await this.#look(signal);
    this.#mark = this.#clock.read();
  }

  /**
   * Sleeps after a step as long as the duty cycle wants, and while it is too hot, on battery or not the time of day.
   * @throws ModelError at the memory ceiling, and the signal's reason.
   */
  async step(signal: AbortSignal): Promise<void> {
    const { dutyCycle, maxMemoryMegabytes } = this.config;
    if (dutyCycle < 1) await this.#nap(dutyCycle, signal);
    if (performance.now() - this.#looked >= (this.parts.lookMs ?? LOOK_MS)) {
      const used = process.memoryUsage.rss();
      if (maxMemoryMegabytes > 0 && used > maxMemoryMegabytes * MEGABYTE)
        throw new ModelError(
          'ECAVG_POWER_MEMORY',
          `training needs ${Math.round(used / MEGABYTE)} MB; power.maxMemoryMegabytes is ${maxMemoryMegabytes}`,
        );
      await this.#look(signal);
    }
  }

  /**
   * CPU time counts, not that of the clock: the garbage collector works on in threads of its own while training sleeps. What was
   * not used earlier is no credit for later.
   */
  async #nap(dutyCycle: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.read();
    const cores = (this.parts.threads ?? 1) * dutyCycle;
    this.#owed = Math.max(0, this.#owed + (now.cpuMs - this.#mark.cpuMs) / cores - (now.atMs - this.#mark.atMs));
    this.#mark = now;
    if (this.#owed >= NAP_MS) await this.#clock.sleep(this.#owed, signal);
  }

  async #look(signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#looked = performance.now();
      const { why, ms } = await this.#obstacle();
      this.#tell(why);
      if (why === undefined) return;
      await sleep(Math.min(ms, LONGEST_MS), undefined, { signal });
    }
  }

  #tell(why: string | undefined): void {
    if (why !== this.#paused) this.parts.log.info({ why: why ?? null }, why ? 'training waits' : 'training goes on');
    this.#paused = why;
  }

  async #obstacle(): Promise<{ why: string | undefined; ms: number }> {
    const { hours, pauseAboveCelsius, pauseOnBattery, sysfs } = this.config;
    const wait = untilAllowed(hours, new Date());
    if (wait > 0) return { why: 'hours', ms: wait };
    const ms = this.parts.lookMs ?? LOOK_MS;
    if (pauseAboveCelsius !== undefined) {
      const degrees = await temperature(sysfs);
      const limit = this.#paused === 'hot' ? pauseAboveCelsius - COOLER : pauseAboveCelsius;
      if (degrees !== undefined && degrees > limit) return { why: 'hot', ms };
    }
    if (pauseOnBattery && (await onBattery(sysfs))) return { why: 'battery', ms };
    return { why: undefined, ms };
  }

  #freeBytes(): number {
    try {
      const { bavail, bsize } = statfsSync(this.parts.dataDir);
      return bavail * bsize;
    } catch {
      // A folder that is not there yet is not full.
      return Number.POSITIVE_INFINITY;
    }
  }
}
