import { join } from 'node:path';
import type { RejectReason } from '@ecavg/protocol';
import { StateFile, StateFormat } from '@ecavg/runtime';
import { z } from 'zod';
import type { EdgeRecord } from './selection.js';

/** Reasons of refusal that speak against an edge. */
const BLAMED: ReadonlySet<RejectReason> = new Set<RejectReason>([
  'payload',
  'non-finite',
  'layout-mismatch',
  'bad-signature',
  'identity-mismatch',
]);

const count = z.int().min(0).default(0);
const recordSchema = z.object({
  asked: count,
  answered: count,
  /** Updates that were taken, and that were refused for a fault of the edge. */
  sound: count,
  unsound: count,
  samples: z.number().optional(),
  loss: z.number().optional(),
  seconds: z.number().optional(),
  lastRound: z.int().optional(),
});
type Known = z.output<typeof recordSchema>;
const recordsSchema = z.object({ edges: z.record(z.string(), recordSchema) });

const recordsFormat = new StateFormat({
  kind: 'records of gateways',
  at: { cloud: '[fleets/{fleet}/]rounds/{model}/edges.json' },
  holds: 'how often each gateway was asked and answered, and with what: for selection and the weighting reliability',
  removed: 'safe: every gateway counts as new',
  format: 1,
  encoding: 'json',
  schema: recordsSchema,
  // The bare map.
  migrations: { 0: (edges) => ({ edges }) },
});

/** What rounds told of each edge, for selection and for the weighting `reliability`. On disk at the end of every round. */
export class EdgeRecords {
  readonly #records: Map<string, Known>;
  private constructor(
    private readonly file: StateFile<z.output<typeof recordsSchema>>,
    records: Readonly<Record<string, Known>>,
  ) {
    this.#records = new Map(Object.entries(records));
  }

  static async open(folder: string): Promise<EdgeRecords> {
    const file = new StateFile(join(folder, 'edges.json'), recordsFormat);
    return new EdgeRecords(file, (await file.read())?.edges ?? {});
  }

  get all(): ReadonlyMap<string, EdgeRecord> {
    return this.#records;
  }

  /** Counts an update that was taken (or refused for a fault of its edge). */
  served(edge: string, well: boolean): void {
    const r = this.#of(edge);
    this.#records.set(edge, well ? { ...r, sound: r.sound + 1 } : { ...r, unsound: r.unsound + 1 });
  }

  /** Counts a refused message of an edge, where the reason speaks against the edge and not against the network or the clock. */
  refused(edge: string, reason: RejectReason): void {
    if (BLAMED.has(reason)) this.served(edge, false);
  }

  /** Share of an edge's updates that were sound, with one of each added (Laplace): 1/2 for an edge that is new. */
  reliability(edge: string): number {
    const { sound, unsound } = this.#of(edge);
    return (sound + 1) / (sound + unsound + 2);
  }

  /** Takes in who was asked and who answered with what, and writes it down. */
  async closed(
    { round, participants }: { readonly round: number; readonly participants: readonly string[] },
    updates: readonly { edge: string; samples: number; metrics: Readonly<Record<string, number>> }[],
  ): Promise<void> {
    for (const edge of participants) {
      const r = this.#of(edge);
      this.#records.set(edge, { ...r, asked: r.asked + 1 });
    }
    for (const { edge, samples, metrics } of updates) {
      const { loss, seconds } = metrics;
      const r = this.#of(edge);
      // In asynchronous rounds edges answer without being asked: that counts as asked and answered.
      const asked = Math.max(r.asked, r.answered + 1);
      this.#records.set(edge, { ...r, asked, answered: r.answered + 1, samples, loss, seconds, lastRound: round });
    }
    await this.file.write({ edges: Object.fromEntries(this.#records) });
  }

  #of(edge: string): Known {
    return this.#records.get(edge) ?? recordSchema.parse({});
  }
}
