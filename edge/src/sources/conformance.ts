import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type StreamConfig, streamSchema } from '@ecavg/models';
import { CodedError } from '@ecavg/protocol/errors';
import { brokerSchema, createLogger, RecordTable } from '@ecavg/runtime';
import { Recorder } from './recorder.js';
import type { SourceRecord } from './source.js';
import { makeSource, sourceRecordShape } from './table.js';
import { typedSettings } from './typedSettings.js';

/** Where one test of a source takes place. */
export interface SourcePlace {
  /** An empty folder, gone after the test. */
  readonly folder: string;
  /** Counts what the example was asked for in this test, from 1: readings of another time each. */
  readonly step: number;
}

/** How a source is tried out: what it reads from is the example's to make. */
export interface SourceExample {
  /** Names of the stream's channels; default: `temperature` and `vibration`. */
  readonly channels?: readonly string[];
  /** Names of the stream's classes; default: `ok` and `worn`. */
  readonly classes?: readonly string[];
  /** Settings that work, as in a settings file but without `type`. They name channels of the stream. */
  settings(place: SourcePlace): Record<string, unknown> | Promise<Record<string, unknown>>;
  /** Settings in which a channel is called `nowhere`; none: the source's settings name no channels. */
  unknownChannel?(place: SourcePlace): Record<string, unknown> | Promise<Record<string, unknown>>;
  /** Settings that must be refused, and what the message says. */
  readonly refused?: readonly (readonly [settings: Record<string, unknown>, message: RegExp])[];
  /** Gives the running source something that ends in at least one reading, of a time between 2001 and now. */
  feed(place: SourcePlace): unknown;
  /** Gives it what it can't use, of which something at least must be counted; none: whatever comes can be used. */
  rubbish?(place: SourcePlace): unknown;
  /** Takes away what it reads from, and brings it back; none: that can't be taken away. */
  interrupt?(place: SourcePlace): unknown;
  /** How long a reading may take until it comes; default: 10 s. */
  readonly waitMs?: number;
}

const QUIET_MS = 300;
const WAIT_MS = 10_000;
const log = createLogger('conformance', { level: 'silent', format: 'json' });

/** What all trials of one source share. */
interface Subject {
  readonly name: string;
  readonly table: RecordTable<SourceRecord>;
  readonly stream: StreamConfig;
  readonly example: SourceExample;
  readonly waitMs: number;
}

/** One test of a source: a folder of its own, and what is made there is stopped at its end. */
class Trial {
  readonly recorder: Recorder;
  readonly #made: (() => Promise<void>)[] = [];
  #step = 0;

  constructor(
    private readonly subject: Subject,
    private readonly folder: string,
  ) {
    this.recorder = new Recorder(subject.stream.channels.length);
  }

  get place(): SourcePlace {
    return { folder: this.folder, step: ++this.#step };
  }

  get settings(): Promise<Record<string, unknown>> {
    return Promise.resolve(this.subject.example.settings(this.place));
  }

  /** @throws ConfigError, or an error of the schema, where settings are refused. */
  make(settings: Record<string, unknown>): { start(): Promise<void>; stop(): Promise<void> } {
    const { name, table, stream, waitMs } = this.subject;
    const means = {
      stream,
      intake: this.recorder,
      recordings: this.recorder,
      log,
      field: 'data.sources.0',
      stateFile: join(this.folder, 'state.json'),
      broker: brokerSchema.parse({}),
      login: {},
      clientId: `conformance-${process.pid}-${this.folder.slice(-8)}`,
    };
    const source = makeSource(typedSettings(table).parse({ type: name, ...settings }), means, table);
    let stopped = false;
    const stop = async (): Promise<void> => {
      if (stopped) return;
      stopped = true;
      await inTime('stop()', source.stop(), waitMs);
    };
    this.#made.push(stop);
    return { start: () => inTime('start()', source.start(), waitMs), stop };
  }

  /** A source that runs and has read something. */
  async reading(settings: Record<string, unknown>): Promise<{ stop(): Promise<void> }> {
    const source = this.make(settings);
    await source.start();
    await this.reads('a reading');
    return source;
  }

  /** Feeds it until a reading comes: what is fed while it connects may be lost. */
  async reads(what: string): Promise<void> {
    const { readings } = this.recorder;
    const { example, waitMs } = this.subject;
    const each = Math.max(100, waitMs / 20);
    for (let left = waitMs; ; left -= each) {
      await example.feed(this.place);
      try {
        return await this.recorder.until(what, () => this.recorder.readings > readings, each);
      } catch (error) {
        if (left <= each) throw error;
      }
    }
  }

  async end(): Promise<void> {
    for (const stop of this.#made) await stop();
  }
}

/**
 * Holds a source against its contract, as tests of `node:test`: call it in a test file, and run that with `node --test`.
 *
 * That its record is accepted, its settings are checked and channels refused by name; that making it opens nothing; that what it reads
 * ends in readings with times in ms, or is counted; that it goes on after rubbish, after what it reads from went away, and after a
 * restart; and that nothing comes once it was stopped.
 */
export function describeSource<Settings extends object>(
  name: string,
  record: SourceRecord<Settings>,
  example: SourceExample,
): void {
  const { channels = ['temperature', 'vibration'], classes = ['ok', 'worn'], waitMs = WAIT_MS } = example;
  const stream = streamSchema.parse({ channels: channels.map((c) => ({ name: c })), classes, rateHz: 10, window: 10 });
  const table = new RecordTable<SourceRecord>('source', {}, sourceRecordShape);
  const root = mkdtempSync(join(tmpdir(), 'ecavg-conformance-'));
  const trial = (body: (trial: Trial) => Promise<void>) => async (): Promise<void> => {
    table.add(name, record);
    const one = new Trial({ name, table, stream, example, waitMs }, mkdtempSync(join(root, 'trial-')));
    try {
      await body(one);
    } finally {
      await one.end();
    }
  };

  describe(`source ${name}`, () => {
    after(() => rmSync(root, { recursive: true, force: true }));

    test('its record is accepted, and says what it is in one line', () => {
      table.add(name, record);
      assert.doesNotMatch(record.about, /\n/);
    });

    test(
      'its settings are checked; those in force, defaults included, are settings again',
      trial(async (one) => {
        const schema = typedSettings(table);
        const once = schema.parse({ type: name, ...(await one.settings) });
        assert.deepEqual(schema.parse(once), once);
        for (const path of record.reads?.(once as unknown as Settings) ?? []) assert.equal(typeof path, 'string');
        for (const [wrong, message] of example.refused ?? []) assert.throws(() => one.make(wrong), message);
      }),
    );

    const { unknownChannel, rubbish, interrupt } = example;
    test(
      'a channel that the stream lacks is refused by name',
      { skip: !unknownChannel },
      trial(async (one) => {
        const settings = (await unknownChannel?.(one.place)) ?? {};
        assert.throws(() => one.make(settings), /nowhere/);
      }),
    );

    test(
      'one that was made and never started can be stopped',
      trial(async (one) => one.make(await one.settings).stop()),
    );

    test(
      'what it reads ends in readings, with times in ms',
      trial(async (one) => void (await one.reading(await one.settings))),
    );

    test(
      'what it can not use is counted, and it goes on',
      { skip: !rubbish },
      trial(async (one) => {
        await one.reading(await one.settings);
        await rubbish?.(one.place);
        await one.recorder.until('bad() for the rubbish', () => one.recorder.bads > 0, waitMs);
        await one.reads('a reading after the rubbish');
      }),
    );

    test(
      'it goes on after what it reads from went away and came back',
      { skip: !interrupt },
      trial(async (one) => {
        await one.reading(await one.settings);
        await interrupt?.(one.place);
        await one.reads('a reading after the interruption');
      }),
    );

    test(
      'nothing comes once it was stopped',
      trial(async (one) => {
        const source = await one.reading(await one.settings);
        await source.stop();
        const { readings, bads } = one.recorder;
        await example.feed(one.place);
        await sleep(QUIET_MS);
        assert.deepEqual([one.recorder.readings, one.recorder.bads], [readings, bads]);
      }),
    );

    test(
      'it goes on after a restart',
      trial(async (one) => {
        const settings = await one.settings;
        const source = await one.reading(settings);
        await source.stop();
        await one.reading(settings);
      }),
    );
  });
}

async function inTime<T>(what: string, step: Promise<T>, ms: number): Promise<T> {
  const late = new AbortController();
  const limit = sleep(ms, undefined, { signal: late.signal }).then(
    () => {
      throw new CodedError('ECAVG_CONFORMANCE', `${what} did not resolve within ${ms} ms`);
    },
    () => undefined as never,
  );
  try {
    return await Promise.race([step, limit]);
  } finally {
    late.abort();
  }
}
