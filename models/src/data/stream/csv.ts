import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { CodedError } from '@ecavg/protocol/errors';
import { z } from 'zod';
import { matches } from '../../patterns.js';
import type { StreamConfig } from './schema.js';
import type { Windower } from './windower.js';

/** How a time is written: ISO 8601, or seconds, milliseconds or microseconds since 1970. */
export const TIME_FORMATS = ['iso', 's', 'ms', 'us'] as const;
/** One of them. */
export type TimeFormat = (typeof TIME_FORMATS)[number];

/** Which column of a CSV file is what. */
export const csvMapping = {
  delimiter: z.string().length(1).default(','),
  decimal: z.enum(['.', ',']).default('.'),
  /** Without one, a row is a tick, and each file is a recording of its own. */
  time: z.strictObject({ column: z.string().min(1), format: z.enum(TIME_FORMATS).default('iso') }).optional(),
  /** Column of each channel, where it has another name. */
  columns: z.record(z.string(), z.string().min(1)).default({}),
  /** Column with the name of the class. */
  label: z.string().min(1).optional(),
};
const csvMappingSchema = z.strictObject(csvMapping);
export type CsvMapping = z.output<typeof csvMappingSchema>;

const numeric =
  (milliseconds: number) =>
  (value: string | number): number =>
    value === '' ? Number.NaN : Number(value) * milliseconds;

function isoTime(value: string | number): number {
  const text = String(value).trim();
  return Date.parse(/\d[T ]\d.*(Z|[+-]\d\d:?\d\d)$/i.test(text) || !/\d[T ]\d/.test(text) ? text : `${text}Z`);
}

const TIMES: Readonly<Record<TimeFormat, (value: string | number) => number>> = {
  iso: isoTime,
  s: numeric(1000),
  ms: numeric(1),
  us: numeric(1e-3),
};

/** A time as text or number, in ms since 1970; NaN where it is none. ISO times without a zone are UTC. */
export const parseTime = (value: string | number, format: TimeFormat): number => TIMES[format](value);

/** What is told of a file's rows, in their order: readings and labels with their time in ms since 1970. */
export interface RowSink {
  reading(channel: number, at: number, value: number): void;
  label(at: number, name: string): void;
  /** A cell that can't be used, with its line. */
  bad(why: string): void;
}

/** A CSV file that can't be read as the mapping says; the message names the file and the column. */
export class CsvError extends CodedError {
  override readonly name = 'CsvError';
}

/** Turns the rows of one CSV file, with a header line, into readings. */
export class CsvReader {
  readonly #columns: readonly { channel: number; at: number }[];
  readonly #time: number | undefined;
  readonly #label: number | undefined;
  #rows = 0;

  /** @throws CsvError where the header lacks a column that the mapping names. */
  constructor(
    private readonly mapping: CsvMapping,
    private readonly stream: StreamConfig,
    header: readonly string[],
    private readonly file: string,
  ) {
    const place = (column: string, what: string): number => {
      const at = header.indexOf(column);
      if (at < 0)
        throw new CsvError(
          'ECAVG_DATA_FILE',
          `${file} has no column ${JSON.stringify(column)} for ${what}; it has ${header.join(', ')}`,
        );
      return at;
    };
    const names = stream.channels.map((c) => c.name);
    const unknown = Object.keys(mapping.columns).find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new CsvError('ECAVG_DATA_FILE', `columns.${unknown}: there is no channel of this name`);
    // A file may hold some of the channels only: those that it has no column for come from elsewhere.
    this.#columns = names.flatMap((name, channel) => {
      const own = mapping.columns[name];
      if (own === undefined && !header.includes(name)) return [];
      return [{ channel, at: place(own ?? name, `channel ${name}`) }];
    });
    if (this.#columns.length === 0)
      throw new CsvError(
        'ECAVG_TRAINING_DATA',
        `${file} has no column for any channel: it has ${header.join(', ')}; set columns`,
      );
    this.#time = mapping.time && place(mapping.time.column, 'the time');
    this.#label = mapping.label === undefined ? undefined : place(mapping.label, 'the label');
  }

  row(cells: readonly string[], sink: RowSink): void {
    const line = this.#rows + 2;
    const { mapping } = this;
    const text = this.#time === undefined ? '' : (cells[this.#time] ?? '');
    const at = mapping.time
      ? parseTime(mapping.decimal === ',' ? text.replace(',', '.') : text, mapping.time.format)
      : (this.#rows * 1000) / this.stream.rateHz;
    this.#rows++;
    if (!Number.isFinite(at)) return sink.bad(`${this.file} row ${line}: ${JSON.stringify(text)} is no time`);
    if (this.#label !== undefined) sink.label(at, (cells[this.#label] ?? '').trim());
    for (const { channel, at: column } of this.#columns) {
      const cell = (cells[column] ?? '').trim();
      if (cell === '') continue;
      const value = Number(mapping.decimal === ',' ? cell.replace(',', '.') : cell);
      if (Number.isNaN(value) && cell.toLowerCase() !== 'nan')
        sink.bad(`${this.file} row ${line}: ${JSON.stringify(cell.slice(0, 40))} is no number`);
      else sink.reading(channel, at, value);
    }
  }
}

/** Reads a CSV file row by row; memory does not grow with the file. @throws CsvError where it is none, or lacks a column of the mapping. */
export async function readCsv(
  input: Readable,
  { mapping, stream, file }: { mapping: CsvMapping; stream: StreamConfig; file: string },
  sink: RowSink,
): Promise<void> {
  const failed = new Promise<Error>((resolve) => input.once('error', resolve));
  // Loaded with the first file: most gateways read none.
  const { parse } = await import('csv-parse');
  const rows = input.pipe(
    parse({ delimiter: mapping.delimiter, bom: true, relax_column_count: true, skip_empty_lines: true, trim: true }),
  );
  void failed.then((error) => rows.destroy(error));
  let reader: CsvReader | undefined;
  try {
    for await (const cells of rows as AsyncIterable<string[]>) {
      if (reader) reader.row(cells, sink);
      else reader = new CsvReader(mapping, stream, cells, file);
    }
  } catch (error) {
    if (error instanceof CsvError) throw error;
    throw new CsvError('ECAVG_FILE', `${file} can't be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Class index of a label's name; -1 for none, and undefined for a name that is no class. */
export function classIndex({ classes }: StreamConfig, name: string): number | undefined {
  if (name === '') return -1;
  const index = classes.indexOf(name);
  return index < 0 ? undefined : index;
}

/** A whole CSV file into a windower. */
export async function readRecording(
  file: string,
  mapping: CsvMapping,
  stream: StreamConfig,
  windower: Windower,
  bad: (why: string) => void,
): Promise<void> {
  await readCsv(
    createReadStream(file),
    { mapping, stream, file: basename(file) },
    {
      reading: (channel, at, value) => windower.reading(channel, at, value),
      label(at, name) {
        const label = classIndex(stream, name);
        if (label === undefined) bad(`label ${JSON.stringify(name.slice(0, 80))} is none of the stream's classes`);
        windower.label(at, label ?? -1);
      },
      bad,
    },
  );
  windower.flush();
}

/** Files that a path names; its last part may hold `*`. Sorted. */
export async function listFiles(pattern: string): Promise<string[]> {
  const [folder, name] = [dirname(pattern), basename(pattern)];
  if (!name.includes('*')) return [pattern];
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((e) => e.isFile() && matches([name], e.name))
    .map((e) => join(folder, e.name))
    .sort();
}
