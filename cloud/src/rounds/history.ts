import { appendFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NewerFormatError, readIfThere, StateFormat, unchanged, writeDurable } from '@ecavg/runtime';
import { z } from 'zod';

const score = z.number().nullable();

/** A closed round. Accuracies are in [0, 1], on the guard's samples; for models without classes they are explained variance. */
export const roundRecordSchema = z.object({
  at: z.number().describe('milliseconds since 1970'),
  round: z.int(),
  decision: z.enum(['fine-tuned', 'average', 'kept-previous']),
  version: z.int().describe('in force (or on trial) after the round'),
  participants: z.array(z.string()).describe('gateways that were asked'),
  accepted: z.array(z.string()).describe('gateways whose updates were averaged'),
  previous: score.describe('accuracy of the version before'),
  average: score.describe('accuracy of the plain average'),
  fineTuned: score.describe('accuracy of the fine-tuned average'),
  accuracy: score.describe('accuracy of what was decided on'),
  attempts: z.array(z.object({ rung: z.string(), leftOut: z.array(z.string()), average: score, fineTuned: score })),
  bytes: z.int().describe('of the accepted updates as they came'),
  float32Bytes: z.int().describe('of the same updates uncompressed'),
  seconds: z.number(),
});
export type RoundRecord = z.output<typeof roundRecordSchema>;

/** What the gateways made of a version, each on its own validation samples. */
export const receptionRecordSchema = z.object({
  at: z.number(),
  version: z.int(),
  outcome: z.enum(['published', 'promoted', 'withdrawn']),
  hurt: z.array(z.string()),
  edges: z.array(
    z.object({
      edge: z.string(),
      before: z.number().describe('accuracy of the version before'),
      after: z.number().describe('accuracy of this version'),
    }),
  ),
});
export type ReceptionRecord = z.output<typeof receptionRecordSchema>;

const lineSchema = z.union([z.object({ round: roundRecordSchema }), z.object({ reception: receptionRecordSchema })]);
type Line = z.output<typeof lineSchema>;

const lineFormat = new StateFormat<Line>({
  kind: 'history',
  at: { cloud: '[fleets/{fleet}/]rounds/{model}/history.jsonl' },
  holds: 'what happened in rounds, and what gateways made of versions: for people, a line each',
  removed: 'safe: the dashboard and `ecavg report` show nothing of before',
  format: 1,
  encoding: 'json-lines',
  schema: lineSchema,
  migrations: { 0: unchanged },
});

/** Lines kept over a restart; the oldest go. */
const KEPT = 20_000;

export const historyPath = (dataDir: string, model: string): string => join(dataDir, 'rounds', model, 'history.jsonl');

/**
 * What happened in a model's rounds, a line each, for people: nothing is decided by it. A round that is closed twice, as a
 * crash came between, counts once.
 */
export class History {
  readonly #rounds = new Map<number, RoundRecord>();
  readonly #receptions: ReceptionRecord[] = [];

  private constructor(private readonly path: string) {}

  /** For the one that writes it: takes damaged lines out of the file, as a crash may have torn the last. */
  static async open(path: string): Promise<History> {
    const history = new History(path);
    const { lines, sound } = await history.#load();
    if (sound.length < lines) await writeDurable(path, sound.map((line) => lineFormat.encode(line)).join(''));
    return history;
  }

  /** For a look from outside, while another may be writing: changes nothing. */
  static async read(path: string): Promise<History> {
    const history = new History(path);
    await history.#load();
    return history;
  }

  get rounds(): readonly RoundRecord[] {
    return [...this.#rounds.values()];
  }

  get receptions(): readonly ReceptionRecord[] {
    return this.#receptions;
  }

  async closed(round: RoundRecord): Promise<void> {
    await this.#add({ round });
    this.#rounds.set(round.round, round);
  }

  async received(reception: ReceptionRecord): Promise<void> {
    await this.#add({ reception });
    this.#receptions.push(reception);
  }

  async #add(line: Line): Promise<void> {
    await mkdir(dirname(this.path), { recursive: true });
    await appendFile(this.path, lineFormat.encode(line));
  }

  async #load(): Promise<{ lines: number; sound: Line[] }> {
    const text = Buffer.from((await readIfThere(this.path)) ?? []).toString('utf8');
    const lines = text.split('\n').filter(Boolean);
    return { lines: lines.length, sound: lines.slice(-KEPT).flatMap((line) => this.#read(line) ?? []) };
  }

  #read(line: string): Line | undefined {
    try {
      const { value } = lineFormat.decode(Buffer.from(line), this.path);
      if ('round' in value) this.#rounds.set(value.round.round, value.round);
      else this.#receptions.push(value.reception);
      return value;
    } catch (error) {
      // What a later release wrote is no damage.
      if (error instanceof NewerFormatError) throw error;
      return undefined;
    }
  }
}
