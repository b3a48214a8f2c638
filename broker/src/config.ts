import { logSchema } from '@ecavg/runtime';
import { z } from 'zod';

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;
const port = z.int().min(0).max(65535);

const listener = (defaultPort: number) =>
  z.strictObject({
    host: z.string().default('127.0.0.1'),
    /** 0 takes a free port, which is logged and told to the parent process. */
    port: port.default(defaultPort),
  });

export const brokerConfigSchema = z
  .strictObject({
    log: logSchema,
    /** MQTT over plain TCP. */
    listen: listener(1883)
      .extend({ enabled: z.boolean().default(true) })
      .prefault({}),
    /** MQTT over TLS, WebSocket and secure WebSocket; each is off unless it is named. */
    tls: listener(8883).optional(),
    ws: listener(8083).optional(),
    wss: listener(8084).optional(),
    certificates: z
      .strictObject({
        /** PEM files; read again when they change. */
        certFile: z.string(),
        keyFile: z.string(),
        /** Certificate authority of clients. */
        clientCaFile: z.string().optional(),
        /** A client must show a certificate of that authority. */
        requireClient: z.boolean().default(false),
      })
      .optional(),
    /** File with users and roles, written by `ecavg broker user`; without it anybody may do anything. */
    usersFile: z.string().optional(),
    /** Clients need no password: allowed on loopback addresses only, unless said otherwise here. */
    allowAnonymousFromNetwork: z.boolean().default(false),
    persistence: z
      .strictObject({
        /** memory: gone with the process. disk: sessions, retained and queued messages in dataDir. redis: shared by several brokers. */
        kind: z.enum(['memory', 'disk', 'redis']).default('memory'),
        dataDir: z.string().optional(),
        redisUrl: z.url({ protocol: /^rediss?$/ }).optional(),
        /** File with Redis' password. */
        redisPasswordFile: z.string().optional(),
      })
      .prefault({}),
    /** A larger PUBLISH closes its client's connection. */
    maxPayloadBytes: z.int().min(1024).max(268_435_455).default(1_048_576),
    maxConnections: z.int().min(1).default(10_000),
    limits: z
      .strictObject({
        connectionsPerAddress: z.int().min(1).default(10_000),
        /** New connections of one address; more are closed at once. */
        connectsPerSecondPerAddress: z.number().gt(0).default(500),
        /** A client that sends more is slowed down; 0: no limit. */
        messagesPerSecond: z.number().min(0).default(0),
        bytesPerSecond: z.number().min(0).default(0),
        /** Failed log-ins of one address in a minute, from which on it has to wait. */
        failuresPerMinute: z.int().min(1).default(60),
        /** What waits for one client that is away; newer messages are dropped. */
        queuedMessages: z.int().min(1).default(10_000),
        queuedBytes: z
          .int()
          .min(1024)
          .default(256 << 20),
        /** All retained messages; a further one closes its client's connection. */
        retainedBytes: z
          .int()
          .min(1024)
          .default(4 * 1024 ** 3),
      })
      .prefault({}),
    /** `$SYS/broker/...` is published this often; 0: never. */
    sysSeconds: z.number().min(0).default(10),
    /** Prometheus at /metrics, and /healthz. */
    metrics: listener(9883).optional(),
  })
  .superRefine((c, context) => {
    const issue = (path: string[], message: string): void => void context.addIssue({ code: 'custom', path, message });
    for (const name of ['listen', 'tls', 'ws', 'wss'] as const) {
      const l = c[name];
      if (!l || (name === 'listen' && !c.listen.enabled) || c.usersFile || c.allowAnonymousFromNetwork) continue;
      if (!LOOPBACK.test(l.host))
        issue(
          [name, 'host'],
          'without users and passwords the broker listens on loopback only; set usersFile ("ecavg broker init" makes one), or allowAnonymousFromNetwork: true to accept anyone who can reach it',
        );
    }
    for (const name of ['tls', 'wss'] as const)
      if (c[name] && !c.certificates)
        issue(['certificates'], `${name} needs certFile and keyFile ("ecavg broker init" makes them)`);
    if (c.certificates?.requireClient && !c.certificates.clientCaFile)
      issue(['certificates', 'clientCaFile'], 'requireClient needs the certificate authority of the clients');
    const { kind, dataDir, redisUrl } = c.persistence;
    if (kind === 'disk' && !dataDir) issue(['persistence', 'dataDir'], 'persistence on disk needs a folder');
    if (kind === 'redis' && !redisUrl)
      issue(['persistence', 'redisUrl'], 'persistence in Redis needs its URL, as redis://127.0.0.1:6379');
    if (!c.listen.enabled && !c.tls && !c.ws && !c.wss) issue(['listen', 'enabled'], 'no listener is left');
  });

export type BrokerDaemonConfig = z.output<typeof brokerConfigSchema>;
