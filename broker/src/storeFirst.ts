import type { Aedes, Client, PublishPacket } from 'aedes';

type Done = (error?: Error | null) => void;

/** What of Aedes is not in its types. */
interface Inside {
  publish(packet: PublishPacket, client: Client | null | Done, done?: Done): void;
  mq: { emit(packet: { readonly payload: object }, done: Done): void };
}

/**
 * Aedes 1.2 acknowledges a QoS 1 message and stores it afterwards: what was acknowledged could be gone after a crash. Here such a
 * message is published first, and acknowledged once it is retained and queued for everybody who is away; those who are
 * connected get it after that, so that a slow one does not hold up the acknowledgement.
 * Returns what `authorizePublish` calls with a message that is allowed.
 */
export function storeFirst(aedes: Aedes): (client: Client, packet: PublishPacket, done: Done) => void {
  const inside = aedes as unknown as Inside;
  /** Packets that were published here: what Aedes does after the acknowledgement is done already. */
  const published = new WeakSet<object>();
  /** By payload, which is the one part that a packet keeps on its way through Aedes. */
  const stored = new WeakMap<object, () => void>();
  const publish = inside.publish.bind(aedes);
  inside.publish = (packet, client, done) => {
    if (!published.delete(packet)) return publish(packet, client, done);
    done?.();
  };
  const emit = inside.mq.emit.bind(inside.mq);
  inside.mq.emit = (packet, done) => {
    // Aedes' own messages may have text as payload.
    if (typeof packet.payload === 'object') stored.get(packet.payload)?.();
    emit(packet, done);
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
