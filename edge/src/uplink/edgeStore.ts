import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Carried, pack, sha256Hex, unpack } from '@ecavg/protocol';
import { BlobStore, readIfThere, writeDurable } from '@ecavg/runtime';
import { z } from 'zod';

const bytes = z.instanceof(Uint8Array);
const memorySchema = z.object({ residual: bytes.optional(), velocity: bytes.optional(), levels: bytes.optional() });
const outboxSchema = z.object({
  id: z.string(),
  round: z.int(),
  base: z.string(),
  blob: bytes,
  ifAccepted: memorySchema,
  ifRejected: memorySchema,
});

/** What an edge carries from update to update: error feedback, and the levels of the last accepted update. */
export interface Memory extends Carried {
  readonly levels?: Int8Array;
}

/** An update that waits for its receipt, with what either answer leaves behind. */
export interface OutboxEntry {
  readonly id: string;
  readonly round: number;
  readonly base: string;
  readonly blob: Uint8Array;
  readonly ifAccepted: Memory;
  readonly ifRejected: Memory;
}

const toBytes = (v: Float32Array): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
const toFloats = (v: Uint8Array): Float32Array => new Float32Array(new Uint8Array(v).buffer);

function packMemory({ residual, velocity, levels }: Memory): Record<string, Uint8Array> {
  return {
    ...(residual && { residual: toBytes(residual) }),
    ...(velocity && { velocity: toBytes(velocity) }),
    ...(levels && { levels: new Uint8Array(levels.buffer, levels.byteOffset, levels.length) }),
  };
}

function unpackMemory({ residual, velocity, levels }: z.output<typeof memorySchema>): Memory {
  return {
    ...(residual && { residual: toFloats(residual) }),
    ...(velocity && { velocity: toFloats(velocity) }),
    ...(levels && { levels: new Int8Array(new Uint8Array(levels).buffer) }),
  };
}

/** Everything a gateway must remember across a crash. Every write is whole and on disk when it returns. */
export class EdgeStore {
  readonly blobs: BlobStore;

  constructor(private readonly folder: string) {
    this.blobs = new BlobStore(join(folder, 'blobs'));
  }

  /** The update that waits; a damaged file is set aside as `outbox.damaged` and reported through `damaged`. */
  async outbox(damaged: (why: string) => void): Promise<OutboxEntry | undefined> {
    const path = join(this.folder, 'outbox');
    const file = await readIfThere(path);
    if (!file) return undefined;
    try {
      const e = outboxSchema.parse(unpack(file));
      if (sha256Hex(e.blob) !== e.id) throw new Error('the update is not the one that was stored');
      return { ...e, ifAccepted: unpackMemory(e.ifAccepted), ifRejected: unpackMemory(e.ifRejected) };
    } catch (error) {
      await rename(path, `${path}.damaged`);
      damaged((error as Error).message);
      return undefined;
    }
  }

  async saveOutbox(entry: OutboxEntry): Promise<void> {
    const { ifAccepted, ifRejected } = entry;
    const packed = pack({ ...entry, ifAccepted: packMemory(ifAccepted), ifRejected: packMemory(ifRejected) });
    await writeDurable(join(this.folder, 'outbox'), packed);
  }

  /**
   * Ends an outbox entry. What is carried is written first: a crash in between sends the update again, the
   * cloud answers as before, and the same is written once more.
   */
  async settle(memory: Memory): Promise<void> {
    await writeDurable(join(this.folder, 'memory'), pack(packMemory(memory)));
    await rm(join(this.folder, 'outbox'), { force: true });
  }

  /** How many samples the cloud was given; 0 where none, or the file is damaged. */
  async sharedSamples(): Promise<number> {
    return Number((await readIfThere(join(this.folder, 'shared-samples')))?.toString('utf8') ?? 0) || 0;
  }

  async rememberSharedSamples(count: number): Promise<void> {
    await writeDurable(join(this.folder, 'shared-samples'), String(count));
  }

  /** The model in service when this gateway was last running. */
  serving(): Promise<Uint8Array | undefined> {
    return readIfThere(join(this.folder, 'serving'));
  }

  async saveServing(packed: Uint8Array): Promise<void> {
    await writeDurable(join(this.folder, 'serving'), packed);
  }

  async saveLocalTensors(layout: string, values: Float32Array): Promise<void> {
    await writeDurable(join(this.folder, 'local-tensors'), pack({ layout, values: toBytes(values) }));
  }

  /** Tensors that never leave this gateway; undefined where there are none for this layout, or the file is damaged. */
  async localTensors(layout: string): Promise<Float32Array | undefined> {
    const file = await readIfThere(join(this.folder, 'local-tensors'));
    if (!file) return undefined;
    try {
      const kept = z.object({ layout: z.string(), values: bytes }).parse(unpack(file));
      return kept.layout === layout ? toFloats(kept.values) : undefined;
    } catch {
      return undefined;
    }
  }

  /** What is carried for a model of `length` values; nothing where the file is missing, damaged or of another model. */
  async memory(length: number): Promise<Memory> {
    const file = await readIfThere(join(this.folder, 'memory'));
    if (!file) return {};
    try {
      const memory = unpackMemory(memorySchema.parse(unpack(file)));
      const parts = [memory.residual, memory.velocity, memory.levels];
      return parts.every((part) => part === undefined || part.length === length) ? memory : {};
    } catch {
      return {};
    }
  }
}
