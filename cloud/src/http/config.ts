import { z } from 'zod';

/** Hosts that only this machine reaches. */
export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', 'localhost'];

/** `http`: the dashboard and the API. */
export const httpSchema = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    /** 0 takes a free port. */
    port: z.int().min(0).max(65535).default(8080),
    /** What somebody may do who has not signed in: nothing, look (viewer), or everything (operator, on the loopback address only). */
    anonymous: z.enum(['none', 'viewer', 'operator']).default('none'),
    /** Behind a reverse proxy, whose X-Forwarded headers are then believed. */
    trustProxy: z.boolean().default(false),
  })
  .refine(({ host, anonymous }) => anonymous !== 'operator' || LOOPBACK.includes(host), {
    path: ['anonymous'],
    message: `operator is for a host of ${LOOPBACK.join(', ')} only: take viewer or none, and add users with "ecavg cloud user add"`,
  })
  .prefault({});
export type HttpConfig = z.output<typeof httpSchema>;
