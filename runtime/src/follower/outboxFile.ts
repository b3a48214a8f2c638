import { rename } from 'node:fs/promises';
import { sha256Hex } from '@ecavg/protocol';
import { CodedError } from '@ecavg/protocol/errors';
import { z } from 'zod';
import { bytesSchema } from '../bytes.js';
import { type OnDamage, StateFile } from '../stateFile.js';
import type { StateFormat } from '../stateFormat.js';
import type { OutboxEntry } from './outbox.js';

/** What every outbox holds on disk; whoever follows extends it by what it keeps beside the update. */
export const outboxSchema = z.object({ id: z.string(), round: z.int(), base: z.string(), blob: bytesSchema });

/** How what is kept beside an update lies on disk. */
interface Packing<Kept extends object, Packed extends object> {
  pack(kept: Kept): Packed;
  unpack(packed: Packed): Kept;
}

/** The update that waits for its receipt, on disk. Every write is whole and on disk when it returns. */
export class OutboxFile<Kept extends object, Packed extends object> {
  readonly #file: StateFile<OutboxEntry & Packed>;

  constructor(
    path: string,
    format: StateFormat<OutboxEntry & Packed>,
    private readonly packing: Packing<Kept, Packed>,
  ) {
    this.#file = new StateFile(path, format);
  }

  /**
   * The update that waits; undefined where there is none. A damaged file is set aside under its name and `.damaged`.
   * @param damaged is told of it: an error with ECAVG_STATE_DAMAGED.
   * @throws NewerFormatError where a later release wrote the file.
   */
  async load(damaged: OnDamage): Promise<(OutboxEntry & Kept) | undefined> {
    const { path } = this.#file;
    let why: Error | undefined;
    const found = await this.#file.read((error) => {
      why = error;
    });
    if (found && sha256Hex(found.blob) !== found.id)
      why = new CodedError('ECAVG_STATE_DAMAGED', `${path} holds another update than was stored`);
    if (why) {
      await rename(path, `${path}.damaged`);
      damaged(why);
      return undefined;
    }
    if (!found) return undefined;
    const { id, round, base, blob } = found;
    return { id, round, base, blob, ...this.packing.unpack(found) };
  }

  async save(entry: OutboxEntry & Kept): Promise<void> {
    const { id, round, base, blob } = entry;
    await this.#file.write({ id, round, base, blob, ...this.packing.pack(entry) });
  }

  /** Ends the update: none waits. */
  async remove(): Promise<void> {
    await this.#file.remove();
  }
}
