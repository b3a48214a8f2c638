import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeUpdate, sha256Hex, type UpdateHeader } from '@ecavg/protocol';
import { listFolder, readIfThere, readJson, writeDurable } from '@ecavg/runtime';
import { z } from 'zod';
import { References } from './references.js';

const stateSchema = z.object({
  round: z.int().min(1),
  /** open: collecting. closing: averaging has begun. done: its outcome is registered. */
  phase: z.enum(['open', 'closing', 'done']),
  base: z.object({ version: z.int(), sha256: z.string() }),
  openedAt: z.number(),
  deadlineAt: z.number(),
  /** Edges that were asked to train. */
  participants: z.array(z.string()),
  /** Updates that close the round at once. */
  wanted: z.int().min(1).optional(),
  /** Whether the others were asked not to train. */
  selected: z.boolean().default(false),
  epochs: z.int().min(1),
});
export type RoundState = z.infer<typeof stateSchema>;

/** An accepted update, on disk. */
export interface Accepted {
  readonly id: string;
  readonly header: UpdateHeader;
  readonly path: string;
}

/** Rounds whose accepted ids are remembered, to answer an edge that asks late. */
const LEDGER_ROUNDS = 20;

/**
 * What the cloud must not forget about rounds. An update counts as accepted when its file is on disk
 * (`inbox/{round}/{edge}`), so a crash at any moment loses none and counts none twice.
 */
export class RoundStore {
  #state: RoundState | undefined;
  readonly #accepted = new Map<string, Accepted>();
  /** round -> edge -> id, for rounds that are over. */
  readonly #ledger = new Map<number, Map<string, string>>();

  readonly references: References;

  private constructor(private readonly folder: string) {
    this.references = new References(join(folder, 'references'));
  }

  static async open(folder: string): Promise<RoundStore> {
    const store = new RoundStore(folder);
    const state = await readJson(join(folder, 'round.json'), stateSchema);
    if (!state) return store;
    store.#state = state;
    for (const name of await listFolder(join(folder, 'ledger'))) {
      const ids = await readJson(join(folder, 'ledger', name), z.record(z.string(), z.string()));
      store.#ledger.set(Number(name.replace('.json', '')), new Map(Object.entries(ids ?? {})));
    }
    if (state.phase !== 'done') await store.#readInbox(state.round);
    return store;
  }

  get state(): RoundState | undefined {
    return this.#state;
  }

  get accepted(): readonly Accepted[] {
    return [...this.#accepted.values()];
  }

  /** The id accepted from an edge for a round, as far back as is remembered. */
  acceptedId(round: number, edge: string): string | undefined {
    return this.#accepted.get(this.#name({ round, edge }))?.id ?? this.#ledger.get(round)?.get(edge);
  }

  async save(state: RoundState): Promise<void> {
    await writeDurable(join(this.folder, 'round.json'), JSON.stringify(state));
    this.#state = state;
  }

  async accept(id: string, header: UpdateHeader, blob: Uint8Array): Promise<void> {
    const round = this.#state?.round ?? header.round;
    const name = this.#name(header);
    const path = join(this.#inbox(round), name);
    await writeDurable(path, blob);
    this.#accepted.set(name, { id, header, path });
  }

  /** An edge answers each round once; in an asynchronous one, its answers to earlier rounds may come too. */
  #name({ round, edge }: Pick<UpdateHeader, 'round' | 'edge'>): string {
    return round === this.#state?.round ? edge : `${edge}@${round}`;
  }

  /** Ends the round, with a result or without: its ids go to the ledger, then its updates go. */
  async finish(): Promise<void> {
    const state = this.#state;
    if (!state) return;
    for (const { id, header } of this.#accepted.values()) {
      const ids = this.#ledger.get(header.round) ?? new Map<string, string>();
      this.#ledger.set(header.round, ids.set(header.edge, id));
    }
    for (const round of new Set([...this.#accepted.values()].map((a) => a.header.round))) {
      const ids = this.#ledger.get(round) ?? [];
      await writeDurable(this.#ledgerFile(round), JSON.stringify(Object.fromEntries(ids)));
    }
    await this.save({ ...state, phase: 'done' });
    this.#accepted.clear();
    await rm(this.#inbox(state.round), { recursive: true, force: true });
    const old = state.round - LEDGER_ROUNDS;
    if (this.#ledger.delete(old)) await rm(this.#ledgerFile(old), { force: true });
  }

  async #readInbox(round: number): Promise<void> {
    const folder = this.#inbox(round);
    for (const name of await listFolder(folder)) {
      const path = join(folder, name);
      const blob = await readIfThere(path);
      if (!blob) continue;
      try {
        this.#accepted.set(name, { id: sha256Hex(blob), header: decodeUpdate(blob).header, path });
      } catch (cause) {
        throw new Error(`accepted update ${path} is damaged: restore it, or remove it to close the round without it`, {
          cause,
        });
      }
    }
  }

  #inbox(round: number): string {
    return join(this.folder, 'inbox', String(round));
  }

  #ledgerFile(round: number): string {
    return join(this.folder, 'ledger', `${round}.json`);
  }
}
