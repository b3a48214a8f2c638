import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { codeOf } from '@ecavg/protocol/errors';
import { ConfigError, type Logger, type Service } from '@ecavg/runtime';
import { Aedes, type Client } from 'aedes';
import type { BrokerDaemonConfig } from './config.js';
import { Counters } from './counters.js';
import { openListeners, readTlsFiles } from './listeners.js';
import { startMetrics } from './metrics.js';
import { limitPackets } from './packetLimit.js';
import { openBackend } from './persistence.js';
import { Quota } from './quota.js';
import { Bucket } from './rate.js';
import { type WatchedFiles, watchFiles } from './reload.js';
import { Sessions } from './sessions.js';
import { EMITTER_CONCURRENCY } from './storeFirst.js';
import { publishSys } from './sys.js';
import { Users } from './users.js';

/** Head of a PUBLISH: topic, packet identifier. */
const PACKET_HEAD = 64 * 1024 + 16;

/** Starts an MQTT 3.1.1 broker on all listeners of its settings. */
export async function startBroker(config: BrokerDaemonConfig, log: Logger): Promise<Service> {
  const users = config.usersFile === undefined ? undefined : await Users.open(config.usersFile);
  if (users && Object.keys(users.file.users).length === 0)
    throw new ConfigError(
      'ECAVG_BROKER_USERS',
      `usersFile ${users.path} has no users: add one with "ecavg broker user add"`,
    );
  const backend = await openBackend(config);
  const quota = Quota.over(backend.persistence, config.limits);
  const clients = new Set<Client>();
  const counters = new Counters(() => ({
    clients: clients.size,
    retained: quota.retained,
    queued: quota.queued,
    dropped: quota.dropped,
  }));
  const sessions = new Sessions({ config, users, quota, counters, log });
  const aedes = new Aedes({
    persistence: backend.persistence,
    ...(backend.mq && { mq: backend.mq }),
    // Packets that arrive while a client is logging in: an edge sends its status and subscribes at once.
    queueLimit: 1000,
    concurrency: EMITTER_CONCURRENCY,
    heartbeatInterval: 10_000,
    drainTimeout: 30_000,
    maxClientsIdLength: 256,
  });
  sessions.attach(aedes);
  await aedes.listen();
  await quota.count();
  observe(aedes, clients, counters, log);

  const addresses = new Addresses(config.limits);
  const accept = (conn: Duplex, socket: Socket): void => {
    const address = socket.remoteAddress ?? '';
    if (!addresses.admit(address, performance.now())) {
      counters.refused('address');
      log.debug({ address }, 'too many connections from this address');
      conn.destroy();
      return;
    }
    counters.connected();
    conn.once('close', () => addresses.leave(address));
    conn.on('error', (error) => log.debug({ err: error }, 'connection failed'));
    limitPackets(conn, config.maxPayloadBytes + PACKET_HEAD, (error) => {
      counters.refused('packet');
      log.warn({ address, why: error.message, code: codeOf(error) }, 'packet refused');
    });
    sessions.link(conn, { address, socket });
    aedes.handle(conn);
  };
  const listeners = await openListeners(config, accept, log);
  const watched: WatchedFiles[] = [];
  if (users)
    watched.push({
      what: 'users',
      files: [users.path],
      async read() {
        await users.reload();
        sessions.recheck(clients);
      },
    });
  const { certificates } = config;
  if (certificates) {
    const { certFile, keyFile, clientCaFile } = certificates;
    watched.push({
      what: 'certificates',
      files: [certFile, keyFile, ...(clientCaFile ? [clientCaFile] : [])],
      async read() {
        const files = readTlsFiles(certificates);
        for (const l of listeners) l.renew?.(files);
      },
    });
  }
  const endWatch = watchFiles(watched, log);
  const endSys = publishSys(aedes, counters, config.sysSeconds);
  const metrics = config.metrics && (await startMetrics(config.metrics, counters.registry));
  const [first] = listeners;
  return {
    ready: {
      host: first?.host,
      port: first?.port,
      url: first?.url,
      listeners: Object.fromEntries(listeners.map((l) => [l.name, l.url])),
      persistence: config.persistence.kind,
      users: users ? Object.keys(users.file.users).length : 'anonymous',
      ...(metrics && { metrics: metrics.url }),
    },
    async stop() {
      endSys();
      endWatch();
      await metrics?.stop();
      const closed = Promise.all(listeners.map((l) => l.close()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await closed;
      await backend.close().catch(() => undefined);
    },
  };
}

function observe(aedes: Aedes, clients: Set<Client>, counters: Counters, log: Logger): void {
  const about = (client: Client | null) => ({ client: client?.id });
  aedes.on('clientReady', (client) => {
    clients.add(client);
    log.debug(about(client), 'client connected');
  });
  aedes.on('clientDisconnect', (client) => {
    clients.delete(client);
    log.debug(about(client), 'client disconnected');
  });
  aedes.on('clientError', (client, error) => log.warn({ ...about(client), err: error }, 'client failed'));
  aedes.on('connectionError', (client, error) => {
    // A client that tries MQTT 5 first, and comes again with 3.1.1.
    const level = 'errorCode' in error && error.errorCode === 1 ? 'debug' : 'warn';
    log[level]({ ...about(client), err: error }, 'connection refused');
  });
  const forward = aedes.authorizeForward;
  aedes.authorizeForward = (client, packet) => {
    counters.sent(packet.payload.length);
    return forward.call(aedes, client, packet);
  };
}

/** Connections by address: how many there are, and how fast they come. */
class Addresses {
  readonly #open = new Map<string, { count: number; rate: Bucket }>();
  constructor(private readonly limits: BrokerDaemonConfig['limits']) {}

  admit(address: string, now: number): boolean {
    const { connectsPerSecondPerAddress: rate, connectionsPerAddress } = this.limits;
    const known = this.#open.get(address) ?? { count: 0, rate: new Bucket(rate, 2 * rate, now) };
    this.#open.set(address, known);
    if (known.count >= connectionsPerAddress || known.rate.take(1, now) > 0) return false;
    known.count++;
    return true;
  }

  leave(address: string): void {
    const known = this.#open.get(address);
    if (known && --known.count <= 0) this.#open.delete(address);
  }
}
