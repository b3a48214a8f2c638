import { logSchema } from '@ecavg/runtime';
import { z } from 'zod';

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

export const brokerConfigSchema = z
  .strictObject({
    log: logSchema,
    listen: z
      .strictObject({
        host: z.string().default('127.0.0.1'),
        /** 0 takes a free port, which is logged and told to the parent process. */
        port: z.int().min(0).max(65535).default(1883),
      })
      .prefault({}),
    /** Clients need no password: allowed on loopback addresses only, unless said otherwise here. */
    allowAnonymousFromNetwork: z.boolean().default(false),
    /** A larger PUBLISH closes its client's connection. */
    maxPayloadBytes: z.int().min(1024).max(268_435_455).default(1_048_576),
    maxConnections: z.int().min(1).default(10_000),
  })
  .refine((c) => c.allowAnonymousFromNetwork || LOOPBACK.test(c.listen.host), {
    path: ['listen', 'host'],
    message:
      'without users and passwords the broker listens on loopback only; set allowAnonymousFromNetwork: true to accept anyone who can reach it',
  });

export type BrokerDaemonConfig = z.output<typeof brokerConfigSchema>;
