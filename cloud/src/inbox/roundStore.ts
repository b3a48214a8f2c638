import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, decodeUpdate, sha256Hex, type UpdateHeader } from '@ecavg/protocol';
import { listFolder, opaqueState, readIfThere, StateFile, StateFormat, unchanged, writeDurable } from '@ecavg/runtime';
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

const ROUNDS = '[fleets/{fleet}/]rounds/{model}';

const roundFormat = new StateFormat({
  kind: 'cloud round',
  at: { cloud: `${ROUNDS}/round.json`, region: 'rounds/{model}/round.json' },
  holds: 'the round that is open, or was open last',
  removed: 'no: the number of rounds starts anew, and gateways refuse older ones than they have seen',
  format: 1,
  encoding: 'json',
  schema: stateSchema,
  migrations: { 0: unchanged },
});

const ledgerFormat = new StateFormat({
  kind: 'ledger of a round',
  at: { cloud: `${ROUNDS}/ledger/{round}.json`, region: 'rounds/{model}/ledger/{round}.json' },
  holds: 'the id of the update that was accepted of each gateway',
  removed: 'a gateway that lost the receipt of that round is told that it came too late',
  format: 1,
  encoding: 'json',
  schema: z.object({ ids: z.record(z.string(), z.string()) }),
  // The bare map.
  migrations: { 0: (ids) => ({ ids }) },
});

opaqueState({
  kind: 'accepted update',
  at: { cloud: `${ROUNDS}/inbox/{round}/{edge}`, region: 'rounds/{model}/inbox/{round}/{edge}' },
  holds: 'an update that was accepted in the open round, as it came; named by its gateway',
  told: 'the header that it has on the wire, signed by its gateway',
  removed: 'no: the gateway was told that it counts; the round closes without it',
});

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
    const state = await store.#roundFile.read();
    if (!state) return store;
    store.#state = state;
    for (const name of await listFolder(join(folder, 'ledger'))) {
      const round = Number(name.replace('.json', ''));
      const ledger = await store.#ledgerFile(round).read();
      store.#ledger.set(round, new Map(Object.entries(ledger?.ids ?? {})));
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
    await this.#roundFile.write(state);
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
      const ids = Object.fromEntries(this.#ledger.get(round) ?? []);
      await this.#ledgerFile(round).write({ ids });
    }
    await this.save({ ...state, phase: 'done' });
    this.#accepted.clear();
    await rm(this.#inbox(state.round), { recursive: true, force: true });
    const old = state.round - LEDGER_ROUNDS;
    if (this.#ledger.delete(old)) await this.#ledgerFile(old).remove();
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
        throw new CodedError(
          'ECAVG_STATE_DAMAGED',
          `accepted update ${path} is damaged: restore it, or remove it to close the round without it`,
          {
            cause,
          },
        );
      }
    }
  }

  #inbox(round: number): string {
    return join(this.folder, 'inbox', String(round));
  }

  get #roundFile(): StateFile<RoundState> {
    return new StateFile(join(this.folder, 'round.json'), roundFormat);
  }

  #ledgerFile(round: number): StateFile<{ ids: Record<string, string> }> {
    return new StateFile(join(this.folder, 'ledger', `${round}.json`), ledgerFormat);
  }
}
