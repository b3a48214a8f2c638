import { rm } from 'node:fs/promises';
import { readIfThere, writeDurable } from './files.js';
import { NewerFormatError, type StateFormat } from './stateFormat.js';

/** Told of a damaged file, which then counts as none. */
export type OnDamage = (error: Error) => void;

/** One file of a kind. Every write is whole and on disk when it returns. */
export class StateFile<T extends object> {
  constructor(
    readonly path: string,
    private readonly format: StateFormat<T>,
  ) {}

  /**
   * What the file holds, in today's form; undefined where there is none. Changes nothing: others may be writing.
   * @throws NewerFormatError, also where `damaged` is given; Error where the file is damaged and it is not.
   */
  async read(damaged?: OnDamage): Promise<T | undefined> {
    return (await this.#load(damaged))?.value;
  }

  /**
   * As `read`, for a file that lies where the start of its daemon does not know it (see openDataFolder), and that nobody else writes: an
   * older one is written anew, whole or not at all.
   */
  async open(damaged?: OnDamage): Promise<T | undefined> {
    const found = await this.#load(damaged);
    // Where the disk is full, the next write brings the new form.
    if (found && found.format < this.format.number) await this.write(found.value).catch(() => undefined);
    return found?.value;
  }

  write(value: T): Promise<void> {
    return writeDurable(this.path, this.format.encode(value), this.format.mode);
  }

  remove(): Promise<void> {
    return rm(this.path, { force: true });
  }

  async #load(damaged: OnDamage | undefined): Promise<{ value: T; format: number } | undefined> {
    const bytes = await readIfThere(this.path);
    if (!bytes) return undefined;
    try {
      return this.format.decode(bytes, this.path);
    } catch (error) {
      if (!damaged || error instanceof NewerFormatError) throw error;
      damaged(error as Error);
      return undefined;
    }
  }
}
