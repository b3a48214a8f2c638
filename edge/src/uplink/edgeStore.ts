import { join } from 'node:path';
import type { Carried } from '@ecavg/protocol';
import {
  BlobStore,
  bytesSchema,
  type OutboxEntry as Entry,
  floatsSchema,
  type OnDamage,
  OutboxFile,
  opaqueState,
  outboxSchema,
  StateFile,
  StateFormat,
  toBytes,
  toFloats,
  unchanged,
} from '@ecavg/runtime';
import { z } from 'zod';

const memorySchema = z.object({
  residual: floatsSchema.optional(),
  velocity: floatsSchema.optional(),
  levels: bytesSchema.optional(),
});
type PackedMemory = z.output<typeof memorySchema>;

const packed = { format: 1, encoding: 'messagepack', migrations: { 0: unchanged } } as const;

const outboxFormat = new StateFormat({
  ...packed,
  kind: 'edge outbox',
  at: { edge: 'outbox' },
  holds: 'the update that waits for its receipt, and what either answer leaves behind',
  removed: 'no: the update and what it carried are lost',
  schema: outboxSchema.extend({ ifAccepted: memorySchema, ifRejected: memorySchema }),
});

const memoryFormat = new StateFormat<PackedMemory>({
  ...packed,
  kind: 'edge memory',
  at: { edge: 'memory' },
  holds: 'error feedback (float32) and the levels of the last accepted update (int8)',
  removed: 'what earlier updates could not bring is lost; the next update is coded without reference',
  schema: memorySchema,
});

const localFormat = new StateFormat({
  ...packed,
  kind: 'local tensors',
  at: { edge: 'local-tensors' },
  holds: 'tensors that never leave this gateway (float32), and the layout that they belong to',
  removed: 'they start anew from the version of the cloud',
  schema: z.object({ layout: z.string(), values: floatsSchema }),
});

const sharedFormat = new StateFormat({
  kind: 'shared samples',
  at: { edge: 'shared-samples' },
  holds: 'how many samples the cloud was given by opt-in',
  removed: 'safe: they are given once more',
  format: 1,
  encoding: 'json',
  schema: z.object({ count: z.number() }),
  // The number alone.
  migrations: { 0: (count) => ({ count }) },
});

opaqueState({
  kind: 'damaged outbox',
  at: { edge: 'outbox.damaged' },
  holds: 'an outbox that could not be read, set aside',
  told: 'nothing: it is damaged',
  removed: 'safe',
});

/** What an edge carries from update to update: error feedback, and the levels of the last accepted update. */
export interface Memory extends Carried {
  readonly levels?: Int8Array;
}

/** An update that waits for its receipt, with what either answer leaves behind. */
export interface OutboxEntry extends Entry, Answers<Memory> {}

/** What each answer of the cloud leaves behind. */
interface Answers<M> {
  readonly ifAccepted: M;
  readonly ifRejected: M;
}

function packMemory({ residual, velocity, levels }: Memory): PackedMemory {
  return {
    ...(residual && { residual: toBytes(residual) }),
    ...(velocity && { velocity: toBytes(velocity) }),
    ...(levels && { levels: new Uint8Array(levels.buffer, levels.byteOffset, levels.length) }),
  };
}

function unpackMemory({ residual, velocity, levels }: PackedMemory): Memory {
  return {
    ...(residual && { residual: toFloats(residual) }),
    ...(velocity && { velocity: toFloats(velocity) }),
    ...(levels && { levels: new Int8Array(new Uint8Array(levels).buffer) }),
  };
}

const damagedIsNone = (): void => {};

/** Everything a gateway must remember across a crash. Every write is whole and on disk when it returns. */
export class EdgeStore {
  readonly blobs: BlobStore;
  readonly #outbox: OutboxFile<Answers<Memory>, Answers<PackedMemory>>;
  readonly #memory: StateFile<PackedMemory>;
  readonly #local: StateFile<{ layout: string; values: Uint8Array }>;
  readonly #shared: StateFile<{ count: number }>;

  constructor(private readonly folder: string) {
    this.blobs = new BlobStore(join(folder, 'blobs'));
    this.#outbox = new OutboxFile(join(folder, 'outbox'), outboxFormat, {
      pack: ({ ifAccepted, ifRejected }) => ({
        ifAccepted: packMemory(ifAccepted),
        ifRejected: packMemory(ifRejected),
      }),
      unpack: (of) => ({ ifAccepted: unpackMemory(of.ifAccepted), ifRejected: unpackMemory(of.ifRejected) }),
    });
    this.#memory = new StateFile(join(folder, 'memory'), memoryFormat);
    this.#local = new StateFile(join(folder, 'local-tensors'), localFormat);
    this.#shared = new StateFile(join(folder, 'shared-samples'), sharedFormat);
  }

  /** The update that waits; a damaged file is set aside as `outbox.damaged` and reported through `damaged`. */
  outbox(damaged: OnDamage): Promise<OutboxEntry | undefined> {
    return this.#outbox.load(damaged);
  }

  saveOutbox(entry: OutboxEntry): Promise<void> {
    return this.#outbox.save(entry);
  }

  /**
   * Ends an outbox entry. What is carried is written first: a crash in between sends the update again, the
   * cloud answers as before, and the same is written once more.
   */
  async settle(memory: Memory): Promise<void> {
    await this.#memory.write(packMemory(memory));
    await this.#outbox.remove();
  }

  /** How many samples the cloud was given; 0 where none, or the file is damaged. */
  async sharedSamples(): Promise<number> {
    return (await this.#shared.read(damagedIsNone))?.count ?? 0;
  }

  async rememberSharedSamples(count: number): Promise<void> {
    await this.#shared.write({ count });
  }

  /** A file beside these, of a kind that another room knows. */
  file<T extends object>(name: string, format: StateFormat<T>): StateFile<T> {
    return new StateFile(join(this.folder, name), format);
  }

  async saveLocalTensors(layout: string, values: Float32Array): Promise<void> {
    await this.#local.write({ layout, values: toBytes(values) });
  }

  /** Tensors that never leave this gateway; undefined where there are none for this layout, or the file is damaged. */
  async localTensors(layout: string): Promise<Float32Array | undefined> {
    const kept = await this.#local.read(damagedIsNone);
    return kept?.layout === layout ? toFloats(kept.values) : undefined;
  }

  /** What is carried for a model of `length` values; nothing where the file is missing, damaged or of another model. */
  async memory(length: number): Promise<Memory> {
    const memory = unpackMemory((await this.#memory.read(damagedIsNone)) ?? {});
    const parts = [memory.residual, memory.velocity, memory.levels];
    return parts.every((part) => part === undefined || part.length === length) ? memory : {};
  }
}
