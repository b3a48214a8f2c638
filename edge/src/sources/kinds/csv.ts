import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CsvError, csvMapping, matches, readCsv } from '@ecavg/models/data';
import { CodedError } from '@ecavg/protocol/errors';
import { opaqueState, SerialQueue, StateFile, StateFormat } from '@ecavg/runtime';
import { type FSWatcher, watch } from 'chokidar';
import { z } from 'zod';
import { defineSource, type Source, type SourceMeans } from '../source.js';

const csvSchema = z
  .strictObject({
    /** A file, or files by a `*` in the last part. */
    path: z.string().min(1),
    /** Also takes files that come later. */
    watch: z.boolean().default(true),
    /** The files grow: new rows are read as they come, and join the readings of other sources by their time. */
    follow: z.boolean().default(false),
    ...csvMapping,
  })
  .refine((s) => !s.follow || s.time !== undefined, 'follow: true needs time.column');
type CsvConfig = z.output<typeof csvSchema>;

/** A file is taken once it has not grown for this long. */
const STABLE_MS = 1000;
/** New rows of a file that grows are read in pieces of this size. */
const PIECE_BYTES = 4 << 20;
const LINE_FEED = 10;
/** A change within 5 ms of another one is told of once (chokidar): what was read is looked at again after this long. */
const AGAIN_MS = 100;

const progressSchema = z.object({
  /** By path: bytes dealt with. */
  files: z.record(z.string(), z.number()),
});

const progressFormat = new StateFormat({
  kind: 'progress of a CSV source',
  at: {},
  holds: 'how many bytes of each file were dealt with',
  removed: '',
  format: 1,
  encoding: 'json',
  schema: progressSchema,
  // The bare map.
  migrations: { 0: (files) => ({ files }) },
});

/** Sources that extensions add write what they like: each kind tells its own formats. */
opaqueState({
  kind: 'what a source remembers',
  at: { edge: 'samples/source-{i}.json' },
  holds: 'of a CSV source: how many bytes of each file were dealt with',
  told: '`format` in it, by the kind of the source',
  removed: 'files are read once more, and their windows may stand twice in the store',
});

/**
 * CSV files, there already or to come. Each is a recording of its own, read once when it is complete; or, with `follow`, a log that
 * grows, whose new rows join the readings of other sources. What was read is remembered over a restart.
 */
export class CsvSource implements Source {
  readonly #queue = new SerialQueue();
  readonly #folder: string;
  readonly #stopped = new AbortController();
  #watcher: FSWatcher | undefined;
  readonly #file: StateFile<z.output<typeof progressSchema>>;
  #progress: Record<string, number> = {};

  constructor(
    private readonly config: CsvConfig,
    private readonly means: SourceMeans,
  ) {
    for (const name of Object.keys(config.columns)) means.channel(name, `columns.${name}`);
    this.#folder = resolve(dirname(config.path));
    this.#file = new StateFile(means.stateFile, progressFormat);
  }

  async start(): Promise<void> {
    this.#progress = (await this.#file.open())?.files ?? {};
    const { watch: stays, follow, path } = this.config;
    const { log } = this.means;
    const watcher = watch(this.#folder, {
      depth: 0,
      persistent: stays,
      ...(!follow && { awaitWriteFinish: { stabilityThreshold: STABLE_MS, pollInterval: 100 } }),
    });
    this.#watcher = watcher;
    const found = (file: string): void => {
      if (matches([basename(path)], basename(file))) this.#schedule(resolve(file));
    };
    watcher.on('add', found).on('change', found);
    watcher.on('error', (error) => log.error({ err: error, folder: this.#folder }, 'the folder can not be watched'));
    await new Promise<void>((done) => watcher.once('ready', () => done()));
    if (!stays) await watcher.close();
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new CodedError('ECAVG_STOPPED', 'stopping'));
    await this.#watcher?.close();
    await this.#queue.idle();
  }

  #schedule(file: string): void {
    void this.#queue.run(async () => {
      if (this.#stopped.signal.aborted) return;
      try {
        await (this.config.follow ? this.#follow(file) : this.#recording(file));
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (error instanceof CsvError) this.means.intake.bad('file', error.message);
        else this.means.log.error({ err: error, file }, 'the file could not be read');
      }
    });
  }

  async #recording(file: string): Promise<void> {
    const { log, recordings, stream } = this.means;
    const { size } = await stat(file);
    const before = this.#progress[file];
    if (before !== undefined) {
      if (before !== size) log.warn({ file }, 'a recording changed after it was read: give new data a new file');
      return;
    }
    const input = createReadStream(file, { signal: this.#stopped.signal });
    const windows = await recordings.recording(file, (sink) =>
      readCsv(input, { mapping: this.config, stream, file: basename(file) }, sink),
    );
    log.info({ file, windows }, 'recording read');
    await this.#remember(file, size);
  }

  /** Reads what came since, up to the last whole line. */
  async #follow(file: string): Promise<void> {
    const { intake, stream } = this.means;
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      let offset = this.#progress[file] ?? 0;
      // Rotated: the name stands for a new file.
      if (offset > size) offset = 0;
      const header = await headerOf(handle);
      if (header === undefined) return;
      offset = Math.max(offset, header.length);
      let more = false;
      while (offset < size) {
        const piece = Buffer.alloc(Math.min(PIECE_BYTES, size - offset));
        const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
        const end = piece.subarray(0, bytesRead).lastIndexOf(LINE_FEED) + 1;
        if (end === 0) break;
        await readCsv(
          Readable.from([header, piece.subarray(0, end)]),
          { mapping: this.config, stream, file: basename(file) },
          {
            reading: (channel, at, value) => intake.reading(channel, at, value),
            label: (at, name) => intake.label(at, name),
            bad: (why) => intake.bad('row', why),
          },
        );
        offset += end;
        await this.#remember(file, offset);
        more = true;
      }
      if (more) this.#lookAgain(file);
    } finally {
      await handle.close();
    }
  }

  #lookAgain(file: string): void {
    const { signal } = this.#stopped;
    sleep(AGAIN_MS, undefined, { signal, ref: this.config.watch }).then(
      () => this.#schedule(file),
      () => undefined,
    );
  }

  async #remember(file: string, bytes: number): Promise<void> {
    this.#progress[file] = bytes;
    await this.#file.write({ files: this.#progress });
  }
}

/** The first line with its end; undefined while it is not whole. */
async function headerOf(handle: Awaited<ReturnType<typeof open>>): Promise<Buffer | undefined> {
  const head = Buffer.alloc(65_536);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const end = head.subarray(0, bytesRead).indexOf(LINE_FEED) + 1;
  return end > 0 ? head.subarray(0, end) : undefined;
}

export const source = defineSource({
  about:
    '`path` with `*` in its last part, `time: { column, format }`, `columns: { name: column }`, `label`, `delimiter`, `decimal`. Each file is a recording of its own, read once when it is complete, also those that come later. `follow: true`: a log that grows, whose rows join the readings of other sources',
  schema: csvSchema,
  make: (settings, means) => new CsvSource(settings, means),
  reads: ({ path }) => [resolve(dirname(path))],
});
