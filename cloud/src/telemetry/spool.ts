import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { listFolder, NewerFormatError, StateFormat, unchanged, writeDurable } from '@ecavg/runtime';
import { z } from 'zod';
import { MEASUREMENTS, type Point } from './points.js';

const pointFormat = new StateFormat<Point>({
  kind: 'telemetry spool',
  at: { cloud: 'telemetry-spool/{n}.ndjson' },
  holds: 'points that InfluxDB could not take yet, a line each',
  removed: 'safe: those points are lost',
  format: 1,
  encoding: 'json-lines',
  schema: z.object({
    measurement: z.enum(MEASUREMENTS),
    tags: z.record(z.string(), z.string()),
    fields: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
    at: z.number(),
  }),
  migrations: { 0: unchanged },
});

/** Points that a time-series database could not take, in files on disk until it can; the oldest go where they are too many. */
export class Spool {
  readonly #segments: { readonly name: string; readonly bytes: number }[] = [];
  #bytes = 0;
  #sequence = 0;

  private constructor(
    private readonly folder: string,
    private readonly maxBytes: number,
  ) {}

  /** Takes up what an earlier run left. */
  static async open(folder: string, maxBytes: number): Promise<Spool> {
    const spool = new Spool(folder, maxBytes);
    await mkdir(folder, { recursive: true });
    for (const name of await listFolder(folder)) {
      const { size } = await stat(join(folder, name));
      spool.#segments.push({ name, bytes: size });
      spool.#bytes += size;
      spool.#sequence = Math.max(spool.#sequence, Number.parseInt(name, 10) + 1 || 0);
    }
    return spool;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#segments.length === 0;
  }

  /** Keeps points; resolves with how many older ones had to go. Rejects where the disk is full. */
  async push(points: readonly Point[]): Promise<number> {
    const text = points.map((p) => pointFormat.encode(p)).join('');
    const name = `${String(this.#sequence++).padStart(12, '0')}.ndjson`;
    await writeDurable(join(this.folder, name), text);
    const bytes = Buffer.byteLength(text);
    this.#segments.push({ name, bytes });
    this.#bytes += bytes;
    let dropped = 0;
    while (this.#bytes > this.maxBytes && this.#segments.length > 1) {
      dropped += (await this.oldest())?.length ?? 0;
      await this.shift();
    }
    return dropped;
  }

  /** The oldest points; none where their file is damaged. */
  async oldest(): Promise<Point[] | undefined> {
    const [first] = this.#segments;
    if (!first) return undefined;
    const path = join(this.folder, first.name);
    try {
      const lines = (await readFile(path, 'utf8')).split('\n').filter(Boolean);
      return lines.map((line) => pointFormat.decode(Buffer.from(line), path).value);
    } catch (error) {
      if (error instanceof NewerFormatError) throw error;
      return [];
    }
  }

  /** Forgets the oldest points. */
  async shift(): Promise<void> {
    const first = this.#segments.shift();
    if (!first) return;
    this.#bytes -= first.bytes;
    await rm(join(this.folder, first.name), { force: true });
  }
}
