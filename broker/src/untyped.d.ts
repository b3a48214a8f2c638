// What these packages export and do not type; the methods are those of aedes-persistence's asynchronous interface.
declare module 'aedes-persistence' {
  import type { AsyncPersistence } from 'ecavg-persistence';

  const memory: () => AsyncPersistence;
  export default memory;
}
declare module 'aedes-persistence-level/asyncPersistence.js' {
  import type { AsyncPersistence } from 'ecavg-persistence';

  const LevelPersistence: new (db: object) => AsyncPersistence;
  export default LevelPersistence;
}
declare module 'aedes-persistence-redis/asyncPersistence.js' {
  import type { AsyncPersistence } from 'ecavg-persistence';

  const RedisPersistence: new (options: { readonly conn: object }) => AsyncPersistence;
  export default RedisPersistence;
}
declare module 'ecavg-persistence' {
  export interface StoredPacket {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly qos?: number;
    readonly messageId?: number;
    readonly retain?: boolean;
  }
  export interface AsyncPersistence {
    setup(broker: object): Promise<void>;
    storeRetained(packet: StoredPacket): Promise<void>;
    createRetainedStreamCombi(patterns: readonly string[]): AsyncIterable<StoredPacket>;
    outgoingEnqueueCombi(subs: readonly { clientId: string }[], packet: StoredPacket): Promise<void>;
    outgoingClearMessageId(client: { id: string }, packet: StoredPacket): Promise<StoredPacket | undefined>;
    outgoingStream(client: { id: string }): AsyncIterable<StoredPacket>;
    countOffline(): Promise<{ subsCount: number; clientsCount: number }>;
    destroy(): Promise<void>;
  }
}
