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

/**
 * Packets on their way to those who are connected. Below the emitter's own limit (`concurrency`), past which it queues them, and goes through a queue
 * that nobody listens to any more by recursion, until the stack is full.
 */
const HANDED_ON = 500;
export const EMITTER_CONCURRENCY = 2 * HANDED_ON;

/** Runs what is begun in the order of its numbers, whenever each is ready. */
export class InOrder {
  /** Begun and not run, by growing number: a set keeps the order in which they came. */
  readonly #open = new Set<number>();
  readonly #ready = new Map<number, () => void>();
  #flushing = false;

  /** @param mayRun says whether another one may run now; call `flush` when that changes. */
  constructor(private readonly mayRun: () => boolean = () => true) {}

  /** Those that are ready and wait. */
  get waiting(): number {
    return this.#ready.size;
  }

  begin(n: number): void {
    this.#open.add(n);
  }

  /** Runs it now, or once everything before it has run or ended. What was never begun runs at once. */
  run(n: number, action: () => void): void {
    if (!this.#open.has(n)) return action();
    this.#ready.set(n, action);
    this.flush();
  }

  /** It will not run. */
  end(n: number): void {
    if (this.#ready.has(n) || !this.#open.delete(n)) return;
    this.flush();
  }

  /** Runs what can run. */
  flush(): void {
    // What runs may begin and run the next one: the loop that is at it takes that too, instead of a stack that grows.
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      while (this.mayRun()) {
        const [first] = this.#open;
        const action = first === undefined ? undefined : this.#ready.get(first);
        if (first === undefined || !action) return;
        this.#open.delete(first);
        this.#ready.delete(first);
        action();
      }
    } finally {
      this.#flushing = false;
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
  let handing = 0;
  const order = new InOrder(() => handing < HANDED_ON);
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
    // Aedes' own messages may have text as payload. With much under way the acknowledgement waits for those who are
    // connected: whoever sends too fast is held up by it.
    const busy = handing >= HANDED_ON / 2 || order.waiting >= HANDED_ON;
    if (!busy && typeof packet.payload === 'object') stored.get(packet.payload)?.();
    const hand = (): void => {
      handing++;
      emit(packet, (error) => {
        handing--;
        done(error);
        order.flush();
      });
    };
    if (packet.brokerId === aedes.id && packet.brokerCounter) order.run(packet.brokerCounter, hand);
    else hand();
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
