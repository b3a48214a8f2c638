import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '@ecavg/protocol/errors';
import { BAD_INPUT, type BadInput, type Intake, type RecordingIntake } from './source.js';

/** 2001 in ms; in seconds since 1970 it would be the year 5138. */
const EARLIEST_MS = Date.UTC(2001, 0, 1);
const AHEAD_MS = 24 * 3600_000;

/** Takes what a source reads, and refuses what the contract does not allow: the fault is told where the test waits. */
export class Recorder implements Intake, RecordingIntake {
  readings = 0;
  bads = 0;
  #fault: Error | undefined;
  #waiting: (() => void) | undefined;

  constructor(private readonly channels: number) {}

  reading(channel: number, at: number, value: number): void {
    this.#check(() => {
      assert.ok(Number.isInteger(channel) && channel >= 0 && channel < this.channels, `channel ${String(channel)}`);
      assert.equal(typeof value, 'number', 'a reading has a number as its value');
      this.#time(at);
    });
    this.readings++;
    this.#waiting?.();
  }

  gone(channel: number, at: number): void {
    this.#check(() => {
      assert.ok(Number.isInteger(channel) && channel >= 0 && channel < this.channels, `channel ${String(channel)}`);
      this.#time(at);
    });
  }

  label(at: number, name: string): void {
    this.#check(() => {
      assert.equal(typeof name, 'string', 'a label is the name of a class, or empty');
      this.#time(at);
    });
  }

  bad(reason: BadInput, detail: string): void {
    this.#check(() => {
      assert.ok(BAD_INPUT.includes(reason), `reason ${String(reason)}; there are ${BAD_INPUT.join(', ')}`);
      assert.equal(typeof detail, 'string', 'bad() tells a detail');
    });
    this.bads++;
    this.#waiting?.();
  }

  /** Rows have times of their own: from 0 on, where a recording says none. */
  async recording(name: string, read: Parameters<RecordingIntake['recording']>[1]): Promise<number> {
    this.#check(() => assert.ok(typeof name === 'string' && name !== '', 'a recording has a name'));
    const early = EARLIEST_MS;
    await read({
      reading: (channel, at, value) => this.reading(channel, at < early ? at + early : at, value),
      label: (at, label) => this.label(at < early ? at + early : at, label),
      bad: (why) => this.bad('row', why),
    });
    return 1;
  }

  /** Waits until something holds. @throws Error where it does not in time, or the source broke its contract. */
  async until(what: string, holds: () => boolean, ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (!this.#fault && !holds()) {
      const left = end - performance.now();
      if (left <= 0) throw new CodedError('ECAVG_CONFORMANCE', `${what} within ${ms} ms`);
      const told = new Promise<void>((done) => {
        this.#waiting = done;
      });
      await Promise.race([told, sleep(Math.min(left, 50))]);
    }
    if (this.#fault) throw this.#fault;
  }

  #check(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#fault ??= error as Error;
      this.#waiting?.();
    }
  }

  #time(at: number): void {
    assert.ok(Number.isFinite(at), `a time of ${String(at)}`);
    assert.ok(
      at >= EARLIEST_MS && at <= Date.now() + AHEAD_MS,
      `a time of ${at}: times are milliseconds since 1970, and the example feeds readings between 2001 and now`,
    );
  }
}
