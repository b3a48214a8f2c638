import { stampOf } from './files.js';
import type { StateFile } from './stateFile.js';

/** A file that commands and a running daemon both change: read again where another has changed it. */
export class WatchedFile<T extends object> {
  #value: T;
  /** What the file looked like when it was read. */
  #stamp = '';

  /** @param none what counts where there is no file. */
  constructor(
    private readonly file: StateFile<T>,
    private readonly none: T,
  ) {
    this.#value = none;
  }

  get path(): string {
    return this.file.path;
  }

  /** As it was read or written last. */
  get value(): T {
    return this.#value;
  }

  /** Reads the file again where it has changed; throws where it is damaged, and goes on with what was known. */
  async reload(): Promise<T> {
    const stamp = await stampOf(this.path);
    if (stamp !== this.#stamp) {
      this.#value = (await this.file.read()) ?? this.none;
      this.#stamp = stamp;
    }
    return this.#value;
  }

  async write(value: T): Promise<void> {
    // It counts at once, so that a change made while this one is written starts from it.
    this.#value = value;
    try {
      await this.file.write(value);
    } catch (error) {
      this.#stamp = '';
      throw error;
    }
  }
}
