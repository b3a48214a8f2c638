import { mkdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { ConfigError, opaqueState, openDataFolder, readSecret } from '@ecavg/runtime';
import type { AsyncPersistence } from 'ecavg-persistence';
import type { Redis } from 'ioredis';
import type { BrokerDaemonConfig } from './config.js';

/** Where sessions, retained and queued messages are, and how nodes tell each other of messages. */
export interface Backend {
  readonly persistence: AsyncPersistence;
  /** The emitter by which the nodes of a cluster hear of each other's messages; undefined where one process is the whole broker. */
  readonly mq: object | undefined;
  close(): Promise<void>;
}

/** @throws ConfigError where the folder is in use or Redis is not there. */
export async function openBackend({ persistence }: Pick<BrokerDaemonConfig, 'persistence'>): Promise<Backend> {
  return BACKENDS[persistence.kind](persistence);
}

type Settings = BrokerDaemonConfig['persistence'];

/** What each kind needs is loaded where it is used. */
const BACKENDS: Readonly<Record<Settings['kind'], (settings: Settings) => Promise<Backend>>> = {
  memory: async () => ({
    persistence: (await import('aedes-persistence')).default(),
    mq: undefined,
    close: async () => undefined,
  }),
  disk: ({ dataDir = '' }) => onDisk(dataDir),
  redis: inRedis,
};

opaqueState({
  kind: 'sessions and messages',
  at: { broker: ['CURRENT', 'LOCK', 'LOG', 'LOG.old', 'MANIFEST-{n}', '{n}.ldb', '{n}.log'] },
  holds: 'sessions, subscriptions, retained and queued messages (persistence.kind: disk)',
  told: "LevelDB's own; of what is in it, `ecavg.json` beside it",
  removed: 'retained messages come again from the cloud; messages that waited for a gateway are lost',
});

async function onDisk(folder: string): Promise<Backend> {
  await mkdir(folder, { recursive: true });
  await openDataFolder(folder, 'broker');
  const [{ ClassicLevel }, { default: levelPersistence }] = await Promise.all([
    import('classic-level'),
    import('aedes-persistence-level'),
  ]);
  const db = new ClassicLevel<string, Buffer>(folder, { valueEncoding: 'buffer' });
  try {
    await db.open();
  } catch (cause) {
    const why = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message;
    throw new ConfigError(
      'ECAVG_BROKER_PERSISTENCE',
      `persistence.dataDir ${folder} can't be opened (${why}): is another broker using it? If it is damaged, move it away; retained messages come again from the cloud`,
      { cause },
    );
  }
  const ending = endingWithItsDatabase(levelPersistence(db));
  return {
    persistence: ending.persistence,
    mq: undefined,
    async close() {
      ending.begin();
      await db.close();
    },
  };
}

/** A client that is being told what waits for it when the broker stops: what is read for it ends there, and is no error. */
function endingWithItsDatabase(persistence: AsyncPersistence): { persistence: AsyncPersistence; begin(): void } {
  let closing = false;
  async function* untilClosed<T>(packets: AsyncIterable<T>): AsyncIterable<T> {
    // A read that is under way while its reader goes fails on the stream itself, where nobody listens.
    if (packets instanceof Readable)
      packets.on('error', (error) => {
        if (!closing) throw error;
      });
    try {
      yield* packets;
    } catch (error) {
      if (!closing) throw error;
    }
  }
  const { destroy, createRetainedStreamCombi, outgoingStream } = persistence;
  persistence.createRetainedStreamCombi = (patterns) =>
    Readable.from(untilClosed(createRetainedStreamCombi.call(persistence, patterns)));
  persistence.outgoingStream = (client) => Readable.from(untilClosed(outgoingStream.call(persistence, client)));
  const begin = (): void => {
    closing = true;
  };
  persistence.destroy = () => {
    begin();
    return destroy.call(persistence);
  };
  return { persistence, begin };
}

/**
 * Aedes stores the topics of one SUBSCRIBE once for each of them, at the same time; between nodes that waits for an echo under one and the same
 * key (aedes-persistence 11), so that only the last would ever hear it. Here one request is carried out once, and those of a
 * client one after another.
 */
function oneByOne(persistence: AsyncPersistence): AsyncPersistence {
  const last = new Map<string, Promise<unknown>>();
  const once = <T>(change: (client: { id: string }, topics: readonly T[]) => Promise<unknown>) => {
    const running = new WeakMap<object, Promise<unknown>>();
    return (client: { id: string }, topics: readonly T[]): Promise<unknown> => {
      const same = running.get(topics);
      if (same !== undefined) return same;
      const before = last.get(client.id) ?? Promise.resolve();
      const mine = before.catch(() => undefined).then(() => change(client, topics));
      running.set(topics, mine);
      last.set(client.id, mine);
      const forget = (): void => {
        running.delete(topics);
        if (last.get(client.id) === mine) last.delete(client.id);
      };
      mine.then(forget, forget);
      return mine;
    };
  };
  persistence.addSubscriptions = once(persistence.addSubscriptions.bind(persistence));
  persistence.removeSubscriptions = once(persistence.removeSubscriptions.bind(persistence));
  return persistence;
}

async function inRedis({ redisUrl = '', redisPasswordFile }: Settings): Promise<Backend> {
  const [{ Redis }, { default: redisPersistence }, { default: mqemitterRedis }] = await Promise.all([
    import('ioredis'),
    import('aedes-persistence-redis'),
    import('mqemitter-redis'),
  ]);
  const options = {
    ...(redisPasswordFile && { password: readSecret(redisPasswordFile) }),
    maxRetriesPerRequest: null,
    enableAutoPipelining: true,
  };
  const probe = new Redis(redisUrl, { ...options, lazyConnect: true, retryStrategy: () => null });
  probe.on('error', () => undefined);
  try {
    await probe.connect();
    await probe.ping();
  } catch (cause) {
    throw new ConfigError(
      'ECAVG_BROKER_PERSISTENCE',
      `persistence.redisUrl ${redisUrl} does not answer (${(cause as Error).message})`,
      { cause },
    );
  } finally {
    probe.disconnect();
  }
  const [store, publisher, subscriber] = [1, 2, 3].map(() => new Redis(redisUrl, options)) as [Redis, Redis, Redis];
  for (const connection of [store, publisher, subscriber]) connection.on('error', () => undefined);
  return {
    persistence: oneByOne(redisPersistence({ conn: store })),
    mq: mqemitterRedis({ pubConn: publisher, subConn: subscriber } as object),
    async close() {
      for (const connection of [store, publisher, subscriber]) connection.disconnect();
    },
  };
}
