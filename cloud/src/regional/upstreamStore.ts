import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '@ecavg/protocol';
import { CodedError } from '@ecavg/protocol/errors';
import {
  type OnDamage,
  type OutboxEntry,
  type OutboxStore,
  type Outcome,
  opaqueState,
  StateFile,
  StateFormat,
  unchanged,
} from '@ecavg/runtime';
import { z } from 'zod';

const bytes = z.custom<Uint8Array>((v) => v instanceof Uint8Array);
const floats = bytes.refine((v) => v.length % 4 === 0, 'is no sequence of float32');

const outboxSchema = z.object({
  id: z.string(),
  round: z.int(),
  base: z.string(),
  blob: bytes,
  /** float32. Absent in files of release 0.1.0, which coded without loss. */
  wanted: floats.optional(),
  left: floats.optional(),
});

const outboxFormat = new StateFormat({
  kind: 'regional outbox',
  at: { region: 'upstream/outbox' },
  holds: 'the partial aggregate that waits for the cloud’s receipt, and what either answer leaves behind (float32)',
  removed: 'no: the partial aggregate, and so its edges’ work of a round, is lost',
  format: 1,
  encoding: 'messagepack',
  schema: outboxSchema,
  migrations: { 0: unchanged },
});

const settledFormat = new StateFormat({
  kind: 'last settled round',
  at: { region: 'upstream/settled' },
  holds: 'the last round whose partial aggregate has its receipt',
  removed: 'safe between two rounds',
  format: 1,
  encoding: 'json',
  schema: z.object({ round: z.int() }),
  // The number alone.
  migrations: { 0: (round) => ({ round }) },
});

const residualFormat = new StateFormat({
  kind: 'regional residual',
  at: { region: 'upstream/residual' },
  holds: 'what partial aggregates could not bring to the cloud (float32): the next one carries it',
  removed: 'what it holds is lost',
  format: 1,
  encoding: 'messagepack',
  schema: z.object({ values: floats }),
  // Release 0.1.0 wrote the values alone.
  unnumbered: (values) => ({ values }),
  migrations: { 0: unchanged },
});

opaqueState({
  kind: 'damaged regional outbox',
  at: { region: 'upstream/outbox.damaged' },
  holds: 'an outbox that could not be read, set aside',
  told: 'nothing: it is damaged',
  removed: 'safe',
});

const toBytes = (v: Float32Array): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
const toFloats = (v: Uint8Array): Float32Array => new Float32Array(new Uint8Array(v).buffer);

/** A region's update, which waits for the cloud's receipt. */
export interface PartialAggregate extends OutboxEntry {
  /** All that it is to bring; absent in one of release 0.1.0. */
  readonly wanted?: Float32Array;
  /** What coding lost of that; absent where nothing. */
  readonly left?: Float32Array;
}

/** What a regional aggregator must not lose of its way up. Every write is whole and on disk when it returns. */
export class UpstreamStore implements OutboxStore<PartialAggregate> {
  readonly #outbox: StateFile<z.output<typeof outboxSchema>>;
  readonly #settled: StateFile<{ round: number }>;
  readonly #residual: StateFile<{ values: Uint8Array }>;
  #settledRound = 0;

  private constructor(
    folder: string,
    private readonly damaged: OnDamage,
  ) {
    this.#outbox = new StateFile(join(folder, 'outbox'), outboxFormat);
    this.#settled = new StateFile(join(folder, 'settled'), settledFormat);
    this.#residual = new StateFile(join(folder, 'residual'), residualFormat);
  }

  /** @param damaged is told of files that can't be read: they count as none. Default: it throws. */
  static async open(folder: string, damaged: OnDamage = fail): Promise<UpstreamStore> {
    const store = new UpstreamStore(folder, damaged);
    // Damaged: a round that is over may be answered once more, and the cloud says so.
    store.#settledRound = (await store.#settled.read(damaged))?.round ?? 0;
    return store;
  }

  /** The last round whose partial aggregate has its receipt; 0: none yet. */
  get settledRound(): number {
    return this.#settledRound;
  }

  /** A damaged one is set aside as `outbox.damaged`. */
  async load(): Promise<PartialAggregate | undefined> {
    let why: Error | undefined;
    const found = await this.#outbox.read((error) => {
      why = error;
    });
    const { path } = this.#outbox;
    if (found && sha256Hex(found.blob) !== found.id)
      why = new CodedError('ECAVG_STATE_DAMAGED', `${path} holds another update than was stored`);
    if (why) {
      await rename(path, `${path}.damaged`);
      this.damaged(why);
      return undefined;
    }
    if (!found) return undefined;
    const { wanted, left, ...entry } = found;
    return { ...entry, ...(wanted && { wanted: toFloats(wanted) }), ...(left && { left: toFloats(left) }) };
  }

  async save({ id, round, base, blob, wanted, left }: PartialAggregate): Promise<void> {
    const carried = { ...(wanted && { wanted: toBytes(wanted) }), ...(left && { left: toBytes(left) }) };
    await this.#outbox.write({ id, round, base, blob, ...carried });
  }

  async settle(entry: PartialAggregate, outcome: Outcome): Promise<void> {
    const carried = CARRIED[outcome](entry) ?? new Float32Array();
    await this.#residual.write({ values: toBytes(carried) });
    await this.#settled.write({ round: entry.round });
    this.#settledRound = entry.round;
    await this.#outbox.remove();
  }

  /** What the next partial aggregate carries on, for a model of `length` values; undefined where nothing. */
  async residual(length: number): Promise<Float32Array | undefined> {
    const kept = await this.#residual.read(this.damaged);
    return kept?.values.length === length * 4 ? toFloats(kept.values) : undefined;
  }
}

const fail = (error: Error): never => {
  throw error;
};

/** What an entry leaves behind. */
const CARRIED: Readonly<Record<Outcome, (entry: PartialAggregate) => Float32Array | undefined>> = {
  accepted: ({ left }) => left,
  'given-back': ({ wanted }) => wanted,
  dropped: () => undefined,
};
