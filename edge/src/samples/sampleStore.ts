import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  blockOf,
  type DataSet,
  type StreamConfig,
  type StreamWindow,
  streamDigest,
  streamShape,
  type View,
} from '@ecavg/models';
import { ArgumentError } from '@ecavg/protocol/errors';
import { type Logger, NewerFormatError, opaqueState, StateFormat, unchanged } from '@ecavg/runtime';
import { z } from 'zod';
import { Reservoir } from './reservoir.js';

const stateSchema = z.object({
  /** Of the stream that the windows were cut from. */
  digest: z.string(),
  seen: z.object({ train: z.int().min(0), validation: z.int().min(0) }),
  /** End of the newest window of live sources, ms since 1970. */
  until: z.number().optional(),
  /** The recording being read, and how many of its windows were dealt with. */
  recording: z.object({ file: z.string(), windows: z.int().min(0) }).optional(),
});
type State = z.output<typeof stateSchema>;

const stateFormat = new StateFormat({
  kind: 'sample store',
  at: { edge: 'samples/state.json' },
  holds: 'how many windows were offered, up to when, and the recording that is being read',
  removed: 'the samples are dropped with it',
  format: 1,
  encoding: 'json',
  schema: stateSchema,
  migrations: { 0: unchanged },
});

opaqueState({
  kind: 'samples',
  at: { edge: ['samples/train.windows', 'samples/validation.windows'] },
  holds: 'the windows that are trained on, and those that models are judged on',
  told: '`samples/state.json`; a checksum of each window',
  removed: 'those samples are gone; the store fills again',
});

export interface StoreOptions {
  readonly folder: string;
  readonly edge: string;
  readonly seed: number;
  /** Share of the blocks that is held back. */
  readonly validationShare: number;
  /** Most bytes on disk. */
  readonly maxBytes: number;
  /** Most windows of both parts. */
  readonly maxWindows: number;
  /** Names what readings went through; windows of other readings are not mixed with them. */
  readonly transforms: string;
}

/** Where a window comes from: its recording, or '' for live sources. */
export interface Origin {
  readonly recording: string;
  /** Its number in the recording, from 1. */
  readonly number: number;
}

/**
 * The windows that this gateway trains on and those it judges models on, each a reservoir on disk. Which of the two a window belongs
 * to follows from its block of time alone: it is the same after every restart, and neighbours stay together.
 */
export class SampleStore {
  readonly train: Reservoir;
  readonly validation: Reservoir;
  #state: State;

  constructor(
    private readonly stream: StreamConfig,
    private readonly options: StoreOptions,
    private readonly log: Logger,
  ) {
    const digest = [streamDigest(stream), options.transforms].filter(Boolean).join('+');
    this.#state = this.#read(digest);
    const size = streamShape(stream).reduce((a, d) => a * d, 1);
    const fits = Math.floor(options.maxBytes / Reservoir.slotBytes(size));
    const windows = Math.min(options.maxWindows, fits);
    const held = Math.max(1, Math.round(windows * options.validationShare));
    if (windows - held < 1)
      throw new ArgumentError(
        'ECAVG_CONFIG_COMBINATION',
        `data.store has room for ${windows} windows of ${size} values: too few`,
      );
    const open = (part: 'train' | 'validation', capacity: number): Reservoir =>
      Reservoir.open(
        join(options.folder, `${part}.windows`),
        { capacity, size, seed: options.seed, seen: this.#state.seen[part] },
        (slots) => log.warn({ part, slots }, 'damaged samples are left out'),
      );
    this.train = open('train', windows - held);
    this.validation = open('validation', held);
  }

  /** End of the newest live window. */
  get until(): number | undefined {
    return this.#state.until;
  }

  /** Windows of a recording that an earlier run has dealt with. */
  dealt(recording: string): number {
    const { recording: last } = this.#state;
    return last?.file === recording ? last.windows : 0;
  }

  /** Whether windows with this label are of use here. */
  trains({ label }: StreamWindow): boolean {
    return label >= 0 || this.stream.classes.length === 0;
  }

  /**
   * Takes a window in; false where it is of no use, or stands on the border of both parts.
   * @throws where the disk is full.
   */
  add(window: StreamWindow, origin: Origin): boolean {
    const part = this.trains(window) ? this.#part(window, origin.recording) : undefined;
    if (part) {
      const group = blockOf(this.stream, window.startMs) & 0x3fffffff;
      this[part].offer(window.values, { label: Math.max(0, window.label), group });
    }
    const seen = { train: this.train.seen, validation: this.validation.seen };
    const next: State = { ...this.#state, seen };
    if (origin.recording) next.recording = { file: origin.recording, windows: origin.number };
    else next.until = window.endMs;
    this.#state = next;
    this.#write();
    return part !== undefined;
  }

  #part({ startMs, endMs }: StreamWindow, recording: string): 'train' | 'validation' | undefined {
    const held = this.#held(blockOf(this.stream, startMs), recording);
    const last = this.#held(blockOf(this.stream, endMs), recording);
    // A window on the border shares readings with windows on either side.
    if (held !== last) return undefined;
    return held ? 'validation' : 'train';
  }

  /** Of every so many blocks in a row one is held back, by lot: the parts keep their shares over any stretch of time. */
  #held(block: number, recording: string): boolean {
    const every = Math.max(2, Math.round(1 / this.options.validationShare));
    const row = Math.floor(block / every);
    const { edge, seed } = this.options;
    const hash = createHash('sha256').update(`${edge}\n${seed}\n${recording}\n${row}`).digest();
    return block - row * every === hash.readUInt32LE(0) % every;
  }

  /** Live: what is trained on changes as windows come. */
  view(part: 'train' | 'validation'): View {
    return { data: this.#data(part), indices: this[part].indices };
  }

  #data(part: 'train' | 'validation'): DataSet {
    const reservoir = this[part];
    return {
      name: 'stream',
      simulated: false,
      shape: streamShape(this.stream),
      classes: this.stream.classes,
      length: reservoir.capacity,
      labels: reservoir.labels,
      groups: reservoir.groups,
      sites: undefined,
      read: (index, out, offset) => reservoir.read(index, out, offset),
    };
  }

  close(): void {
    this.train.close();
    this.validation.close();
  }

  get #file(): string {
    return join(this.options.folder, 'state.json');
  }

  /** Whole, but not forced to the disk for every window: after a power cut some windows are offered once more. */
  #write(): void {
    const temporary = `${this.#file}.tmp`;
    writeFileSync(temporary, stateFormat.encode(this.#state));
    renameSync(temporary, this.#file);
  }

  #read(digest: string): State {
    const none: State = { digest, seen: { train: 0, validation: 0 } };
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return none;
      throw error;
    }
    try {
      const { value } = stateFormat.decode(bytes, this.#file);
      if (value.digest === digest) return value;
      this.log.warn('data.stream or data.transforms was changed: the samples of the old one are dropped');
    } catch (error) {
      if (error instanceof NewerFormatError) throw error;
      const why = String((error as Error).cause ?? error);
      this.log.error({ err: error, file: this.#file, why }, 'the sample store is damaged and starts anew');
    }
    for (const part of ['train', 'validation']) rmSync(join(this.options.folder, `${part}.windows`), { force: true });
    return none;
  }
}
