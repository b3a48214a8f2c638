import { CREDENTIALS, withoutCredentials } from '@ecavg/runtime';
import { z } from 'zod';

/** `telemetry`: where points go, and how often the cloud measures itself. */
export const telemetrySchema = z
  .strictObject({
    /** How often process, disk and broker are measured. */
    healthSeconds: z.number().min(1).max(86_400).default(60),
    /** InfluxDB to write to; without one, points go to an embedded store in dataDir. */
    influx: z
      .strictObject({
        url: z.url({ protocol: /^https?$/ }).refine(withoutCredentials, CREDENTIALS),
        database: z.string().min(1).default('ecavg'),
        username: z.string().optional(),
        passwordFile: z.string().optional(),
        /** Most of what waits on disk while InfluxDB is away; beyond it the oldest points go. */
        spoolMegabytes: z.number().gt(0).default(64),
        /** Made on first contact (InfluxDB 1.x): how long points stay as they came, and their means over some minutes; null: left to you. */
        retention: z
          .strictObject({
            rawDays: z.int().min(1).default(30),
            longDays: z.int().min(1).default(730),
            everyMinutes: z.int().min(1).default(60),
          })
          .nullable()
          .prefault({}),
      })
      .optional(),
  })
  .prefault({});
export type TelemetryConfig = z.output<typeof telemetrySchema>;
export type InfluxConfig = NonNullable<TelemetryConfig['influx']>;
