import type { Aedes, Client, PublishPacket } from 'aedes';

type Done = (error?: Error | null) => void;

/** A packet as Aedes hands it on: with this broker's name and a number of its own. */
interface Numbered {
  readonly payload: object;
  readonly brokerId?: string;
  readonly brokerCounter?: number;
}

/** What of Aedes is not in its types. */
interface Inside {
  /** Number of the last packet. */
  readonly counter: number;
  publish(packet: PublishPacket, client: Client | null | Done, done?: Done): void;
  mq: { emit(packet: Numbered, done: Done): void };
}

/** Runs what is begun in the order of its numbers, whenever each is ready. */
export class InOrder {
  /** Begun and not run, by growing number: a set keeps the order in which they came. */
  readonly #open = new Set<number>();
  readonly #ready = new Map<number, () => void>();

  begin(n: number): void {
    this.#open.add(n);
  }

  /** Runs it now, or once everything before it has run or ended. What was never begun runs at once. */
  run(n: number, action: () => void): void {
    if (!this.#open.has(n)) return action();
    this.#ready.set(n, action);
    this.#flush();
  }

  /** It will not run. */
  end(n: number): void {
    if (this.#ready.has(n) || !this.#open.delete(n)) return;
    this.#flush();
  }

  #flush(): void {
    for (;;) {
      const [first] = this.#open;
      const action = first === undefined ? undefined : this.#ready.get(first);
      if (first === undefined || !action) return;
      this.#open.delete(first);
      this.#ready.delete(first);
      action();
    }
  }
}

/**
 * Aedes 1.2 acknowledges a QoS 1 message and stores it afterwards: what was acknowledged could be gone after a crash. Here such a
 * message is published first, and acknowledged once it is retained and queued for everybody who is away; those who are
 * connected get it after that, so that a slow one does not hold up the acknowledgement.
 *
 * A client takes a packet whose number is below one it has had for a copy, and drops it. Storing takes its time, longer for one
 * packet than for the next, so packets are handed on in the order of their numbers.
 *
 * Returns what `authorizePublish` calls with a message that is allowed.
 */
export function storeFirst(aedes: Aedes): (client: Client, packet: PublishPacket, done: Done) => void {
  const inside = aedes as unknown as Inside;
  /** Packets that were published here: what Aedes does after the acknowledgement is done already. */
  const published = new WeakSet<object>();
  /** By payload, which is the one part that a packet keeps on its way through Aedes. */
  const stored = new WeakMap<object, () => void>();
  const order = new InOrder();
  const original = inside.publish.bind(aedes);
  const publish = (packet: PublishPacket, client: Client | null, done: Done): void => {
    const n = inside.counter + 1;
    order.begin(n);
    original(packet, client, (error) => {
      order.end(n);
      done(error);
    });
    // A packet that was refused has no number.
    if (inside.counter < n) order.end(n);
  };
  inside.publish = (packet, client, done) => {
    const finish = (typeof client === 'function' ? client : done) ?? (() => undefined);
    if (published.delete(packet)) finish();
    else publish(packet, typeof client === 'function' ? null : client, finish);
  };
  const emit = inside.mq.emit.bind(inside.mq);
  inside.mq.emit = (packet, done) => {
    // Aedes' own messages may have text as payload.
    if (typeof packet.payload === 'object') stored.get(packet.payload)?.();
    if (packet.brokerId === aedes.id && packet.brokerCounter) order.run(packet.brokerCounter, () => emit(packet, done));
    else emit(packet, done);
  };
  return (client, packet, done) => {
    if (packet.qos !== 1) return done(null);
    let answered = false;
    const answer = (error?: Error | null): void => {
      if (answered) return;
      answered = true;
      if (!error) published.add(packet);
      done(error ?? null);
    };
    if (typeof packet.payload === 'object' && packet.payload.length > 0) stored.set(packet.payload, () => answer());
    publish(packet, client, answer);
  };
}
