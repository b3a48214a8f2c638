// What these packages export and do not type; the methods are those of aedes-persistence's asynchronous interface.
declare module 'aedes-persistence' {
  const memory: () => import('ecavg-persistence').AsyncPersistence;
  export default memory;
}
declare module 'aedes-persistence-level' {
  const levelPersistence: (db: object) => import('ecavg-persistence').AsyncPersistence;
  export default levelPersistence;
}
declare module 'aedes-persistence-redis' {
  const redisPersistence: (options: { readonly conn: object }) => import('ecavg-persistence').AsyncPersistence;
  export default redisPersistence;
}
declare module 'ecavg-persistence' {
  export interface StoredPacket {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly qos?: number;
    readonly messageId?: number;
    readonly retain?: boolean;
    readonly brokerId?: string;
  }
  export interface AsyncPersistence {
    setup(broker: object): Promise<void>;
    addSubscriptions(client: { id: string }, subs: readonly object[]): Promise<unknown>;
    removeSubscriptions(client: { id: string }, topics: readonly string[]): Promise<unknown>;
    storeRetained(packet: StoredPacket): Promise<void>;
    createRetainedStreamCombi(patterns: readonly string[]): AsyncIterable<StoredPacket>;
    outgoingEnqueueCombi(
      subs: readonly { clientId: string; topic?: string; qos?: number }[],
      packet: StoredPacket,
    ): Promise<void>;
    outgoingUpdate(client: { id: string }, packet: StoredPacket): Promise<void>;
    outgoingClearMessageId(client: { id: string }, packet: StoredPacket): Promise<StoredPacket | undefined>;
    outgoingStream(client: { id: string }): AsyncIterable<StoredPacket>;
    countOffline(): Promise<{ subsCount: number; clientsCount: number }>;
    destroy(): Promise<void>;
  }
}
