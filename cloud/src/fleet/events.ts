/** Something that happened, for the dashboard, the demo and whoever follows `/api/v1/events`. */
export interface CloudEvent {
  readonly id: number;
  readonly at: number;
  readonly type:
    | 'edge'
    | 'link'
    | 'round-opened'
    | 'accepted'
    | 'rejected'
    | 'round-closed'
    | 'round-cancelled'
    | 'deadline-extended'
    | 'canary-started'
    | 'canary-decided'
    | 'received'
    | 'restored'
    | 'shared'
    | 'calibrated'
    | 'pinned'
    | 'report'
    | 'finished';
  readonly data: Readonly<Record<string, unknown>>;
}

/** Events kept for a client that comes late or comes back. */
const KEPT = 2000;

export class EventLog {
  readonly #events: CloudEvent[] = [];
  readonly #listeners = new Set<(event: CloudEvent) => void>();
  #next = 1;

  emit(type: CloudEvent['type'], data: CloudEvent['data']): void {
    const event = { id: this.#next++, at: Date.now(), type, data };
    this.#events.push(event);
    if (this.#events.length > KEPT) this.#events.shift();
    for (const listener of this.#listeners) listener(event);
  }

  after(id: number): CloudEvent[] {
    return this.#events.filter((e) => e.id > id);
  }

  /** Calls back on each new event; returns the way to stop. */
  listen(listener: (event: CloudEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
