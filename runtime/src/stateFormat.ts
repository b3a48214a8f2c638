import { CodedError, pack, unpack } from '@ecavg/protocol';
import type { z } from 'zod';
import { ConfigError } from './errors.js';
import { SOFTWARE } from './software.js';
import { type StateAbout, stateKinds } from './stateKinds.js';

/** A file that a later release has written. It is left as it is. */
export class NewerFormatError extends ConfigError {
  constructor(path: string, kind: string, found: number, known: number) {
    super(
      'ECAVG_STATE_NEWER',
      `${path} (${kind}) has format ${found}, and ${SOFTWARE} knows formats up to ${known}: run the release that wrote it, or restore the backup made before the upgrade`,
    );
  }
}

/** The first bytes of a file tell its format: it is the first field of all that is written. */
export const HEAD_BYTES = 64;
const JSON_HEAD = /^\s*\{\s*"format"\s*:\s*(\d+)/;
/** `format` as a MessagePack string, and the number after it. */
const PACKED_HEAD = Buffer.from('\xa6format', 'latin1');

interface Encoding {
  encode(value: object): Uint8Array | string;
  decode(bytes: Uint8Array): unknown;
  /** The formats that a file, or its first bytes, say. */
  peek(bytes: Uint8Array): number[];
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const linesOf = (bytes: Uint8Array): string[] => text(bytes).split('\n').filter(Boolean);
const headOf = (line: string): number[] => [...(JSON_HEAD.exec(line)?.slice(1) ?? [])].map(Number);

const ENCODINGS = {
  json: {
    encode: (value) => JSON.stringify(value),
    decode: (bytes) => JSON.parse(text(bytes)),
    peek: (bytes) => headOf(text(bytes)),
  },
  /** For files that people read. */
  'json-indented': {
    encode: (value) => `${JSON.stringify(value, null, 2)}\n`,
    decode: (bytes) => JSON.parse(text(bytes)),
    peek: (bytes) => headOf(text(bytes)),
  },
  /** One value a line; a file may hold lines of several formats. */
  'json-lines': {
    encode: (value) => `${JSON.stringify(value)}\n`,
    decode: (bytes) => JSON.parse(text(bytes)),
    peek: (bytes) => linesOf(bytes).map((line) => headOf(line)[0] ?? 0),
  },
  messagepack: {
    encode: (value) => pack(value),
    decode: (bytes) => unpack(bytes),
    peek(bytes) {
      // A map of up to 15 fields, or of up to 65535.
      const at = bytes[0] === 0xde ? 3 : 1;
      if (!PACKED_HEAD.equals(bytes.subarray(at, at + PACKED_HEAD.length))) return [];
      const number = bytes[at + PACKED_HEAD.length] ?? 0;
      return number < 0x80 ? [number] : [0x80];
    },
  },
} satisfies Record<string, Encoding>;

export interface FormatAbout<T> extends StateAbout {
  /** Of what this release writes; 1 is the first that says its number. */
  readonly format: number;
  readonly encoding: keyof typeof ENCODINGS;
  /** Permissions of the file. */
  readonly mode?: number;
  /** What a file of this format holds beside its number. */
  readonly schema: z.ZodType<T>;
  /**
   * By format: how a value of it becomes one of the next. 0 stands for what carries no number. A format that is not named here can't be
   * read any more.
   */
  readonly migrations: Readonly<Record<number, (old: unknown) => unknown>>;
  /** How a file of format 0 is decoded, where that is not by `encoding`. */
  readonly unnumbered?: (bytes: Uint8Array) => unknown;
}

/** For `migrations`: the next format only says its number. */
export const unchanged = (old: unknown): unknown => old;

/** One kind of file that daemons write: its current format, and the way from each earlier one. */
export class StateFormat<T extends object> {
  readonly #encoding: Encoding;

  constructor(readonly about: FormatAbout<T>) {
    this.#encoding = ENCODINGS[about.encoding];
    stateKinds.add(about, this);
  }

  get number(): number {
    return this.about.format;
  }

  get encoding(): string {
    return this.about.encoding;
  }

  get mode(): number | undefined {
    return this.about.mode;
  }

  encode(value: T): Uint8Array | string {
    return this.#encoding.encode(this.stamp(value));
  }

  /** The value with the number of its format, which comes first. */
  stamp(value: T): T & { format: number } {
    return { format: this.number, ...value };
  }

  /**
   * A file's value, and the format that it was in.
   * @throws NewerFormatError; Error where it is damaged. Both name the file.
   */
  decode(bytes: Uint8Array, path: string): { value: T; format: number } {
    let raw: unknown;
    try {
      const { unnumbered } = this.about;
      raw = unnumbered && this.formatsOf(bytes).length === 0 ? unnumbered(bytes) : this.#encoding.decode(bytes);
    } catch (cause) {
      throw damaged(path, cause);
    }
    return this.parse(raw, path);
  }

  /** As `decode`, of a value that was decoded before. */
  parse(raw: unknown, path: string): { value: T; format: number } {
    const { format: known, kind, migrations, schema } = this.about;
    const format = formatOf(raw);
    if (format > known) throw new NewerFormatError(path, kind, format, known);
    let value = raw;
    try {
      for (let from = format; from < known; from++) {
        const migrate = migrations[from];
        if (!migrate) throw new CodedError('ECAVG_STATE_DAMAGED', `format ${from} of ${kind} is not known`);
        value = migrate(value);
      }
      return { value: schema.parse(value), format };
    } catch (cause) {
      throw damaged(path, cause);
    }
  }

  /** A file's bytes in today's format; undefined where they are in it, or are damaged. */
  renewed(bytes: Uint8Array, path: string): Uint8Array | string | undefined {
    if (this.formatInHead) return this.#renewedPiece(bytes, path);
    const lines = linesOf(bytes);
    const renewed = lines.map((line) => this.#renewedPiece(Buffer.from(line), path));
    if (renewed.every((line) => line === undefined)) return undefined;
    return renewed.map((line, i) => line ?? `${lines[i]}\n`).join('');
  }

  #renewedPiece(bytes: Uint8Array, path: string): Uint8Array | string | undefined {
    try {
      const { value, format } = this.decode(bytes, path);
      return format < this.number ? this.encode(value) : undefined;
    } catch (error) {
      if (error instanceof NewerFormatError) throw error;
      return undefined;
    }
  }

  /** Whether only a file's first `HEAD_BYTES` need be read to know its format. */
  get formatInHead(): boolean {
    return this.about.encoding !== 'json-lines';
  }

  /** The format that a file's first bytes say, none where they say nothing; or that of each line, 0 where it says nothing. */
  formatsOf(bytes: Uint8Array): number[] {
    return this.#encoding.peek(bytes);
  }

  /** Refuses what a later release has written, by a look at the bytes; says nothing of damaged files. */
  refuseNewer(bytes: Uint8Array, path: string): void {
    const newest = Math.max(0, ...this.#encoding.peek(bytes));
    if (newest > this.number) throw new NewerFormatError(path, this.about.kind, newest, this.number);
  }
}

/** 0 where a value carries no number, or something else under its name. */
function formatOf(raw: unknown): number {
  const format = typeof raw === 'object' && raw !== null && 'format' in raw ? raw.format : 0;
  return typeof format === 'number' && Number.isInteger(format) && format >= 0 ? format : 0;
}

const damaged = (path: string, cause: unknown): Error =>
  new CodedError('ECAVG_STATE_DAMAGED', `${path} is damaged: restore it from a backup, or move it away to start anew`, {
    cause,
  });
