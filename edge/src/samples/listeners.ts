/** Those who want to hear of something: each is told, in the order in which they came. */
export class Listeners<T> {
  readonly #all = new Set<(what: T) => void>();

  /** @returns what ends it. */
  add(listener: (what: T) => void): () => void {
    // A function of its own: one that is added twice hears twice.
    const own = (what: T): void => listener(what);
    this.#all.add(own);
    return () => void this.#all.delete(own);
  }

  tell(what: T): void {
    for (const listener of this.#all) listener(what);
  }
}
