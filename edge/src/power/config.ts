import { z } from 'zod';

const hours = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'expected a span of local time, as in 22:00-06:00')
  .refine((span) => span.slice(0, 5) !== span.slice(6), 'begin and end are the same');

export const powerSchema = z
  .strictObject({
    /** Priority of the process, as of nice(1): 19 yields to everything else. */
    nice: z.int().min(0).max(19).default(0),
    /** Share of the CPU time of `train.threads` cores that the gateway may use while it trains; it sleeps in between. */
    dutyCycle: z.number().gt(0).max(1).default(1),
    /** Spans of the day, in local time, in which it may train; none: any time. */
    hours: z.array(hours).max(24).default([]),
    /** Resident memory at which it stops training and sits out the round; 0: no ceiling. */
    maxMemoryMegabytes: z.number().min(0).default(0),
    /** With less room than this on the disk of dataDir, no more samples are stored. */
    minFreeMegabytes: z.number().min(0).default(100),
    /** Training waits while a thermal zone of the system is hotter. */
    pauseAboveCelsius: z.number().optional(),
    /** Training waits while the system runs on its battery. */
    pauseOnBattery: z.boolean().default(false),
    /** Back after a minute or more away, it waits for a random part of this before it catches up: not all gateways at once. */
    catchUpSeconds: z.number().min(0).max(3600).default(10),
    /** Where the system tells of its temperature and supply. */
    sysfs: z.string().default('/sys'),
  })
  .prefault({});
export type PowerConfig = z.output<typeof powerSchema>;
