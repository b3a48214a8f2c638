import { join } from 'node:path';
import {
  floatsSchema,
  type OnDamage,
  type OutboxEntry,
  OutboxFile,
  type OutboxStore,
  type Outcome,
  opaqueState,
  outboxSchema,
  StateFile,
  StateFormat,
  toBytes,
  toFloats,
  unchanged,
} from '@ecavg/runtime';
import { z } from 'zod';

/** float32. Absent in files of release 0.1.0, which coded without loss. */
const lossSchema = z.object({ wanted: floatsSchema.optional(), left: floatsSchema.optional() });
type PackedLoss = z.output<typeof lossSchema>;

const outboxFormat = new StateFormat({
  kind: 'regional outbox',
  at: { region: 'upstream/outbox' },
  holds: 'the partial aggregate that waits for the cloud’s receipt, and what either answer leaves behind (float32)',
  removed: 'no: the partial aggregate, and so its edges’ work of a round, is lost',
  format: 1,
  encoding: 'messagepack',
  schema: outboxSchema.extend(lossSchema.shape),
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
  schema: z.object({ values: floatsSchema }),
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

/** What coding made of a partial aggregate. */
interface Loss {
  /** All that it is to bring; absent in one of release 0.1.0. */
  readonly wanted?: Float32Array;
  /** What coding lost of that; absent where nothing. */
  readonly left?: Float32Array;
}

/** A region's update, which waits for the cloud's receipt. */
export interface PartialAggregate extends OutboxEntry, Loss {}

/** What a regional aggregator must not lose of its way up. Every write is whole and on disk when it returns. */
export class UpstreamStore implements OutboxStore<PartialAggregate> {
  readonly #outbox: OutboxFile<Loss, PackedLoss>;
  readonly #settled: StateFile<{ round: number }>;
  readonly #residual: StateFile<{ values: Uint8Array }>;
  #settledRound = 0;

  private constructor(
    folder: string,
    private readonly damaged: OnDamage,
  ) {
    this.#outbox = new OutboxFile<Loss, PackedLoss>(join(folder, 'outbox'), outboxFormat, {
      pack: ({ wanted, left }) => ({
        ...(wanted && { wanted: toBytes(wanted) }),
        ...(left && { left: toBytes(left) }),
      }),
      unpack: ({ wanted, left }) => ({
        ...(wanted && { wanted: toFloats(wanted) }),
        ...(left && { left: toFloats(left) }),
      }),
    });
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
  load(): Promise<PartialAggregate | undefined> {
    return this.#outbox.load(this.damaged);
  }

  save(entry: PartialAggregate): Promise<void> {
    return this.#outbox.save(entry);
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
