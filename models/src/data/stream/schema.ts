import { createHash } from 'node:crypto';
import { z } from 'zod';

const channelSchema = z
  .strictObject({
    /** What sources and reports call it. */
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'use 1-64 letters, digits, "_", "-" or "."'),
    unit: z.string().max(20).optional(),
    /** A reading below or above is no measurement. */
    min: z.number().optional(),
    max: z.number().optional(),
    /** A value that stays exactly the same for this long comes from a sensor that hangs; 0: never. */
    stuckSeconds: z.number().min(0).default(0),
  })
  .refine(({ min, max }) => min === undefined || max === undefined || min < max, 'min must be below max');

/** How the readings of several sensors become windows that a model takes: the same on every node of a fleet. */
export const streamSchema = z
  .strictObject({
    channels: z.array(channelSchema).min(1).max(256),
    /** Ticks a second of the common grid that every channel is resampled to. */
    rateHz: z.number().gt(0).max(1_000_000),
    /** Ticks in a window. */
    window: z.int().min(2).max(65_536),
    /** Ticks from one window to the next; default: no overlap. */
    stride: z.int().min(1).optional(),
    /** How long a reading stands for the sensor's value; after that the value is missing. */
    maxAgeSeconds: z.number().min(0).default(1),
    /** How long after the newest reading an older one still counts. */
    latenessSeconds: z.number().min(0).max(3600).default(1),
    /** A window with a smaller share of measured values is dropped. */
    minPresent: z.number().min(0).max(1).default(0.5),
    /** What stands where a value is missing: the last one in the window, or the window's mean. */
    impute: z.enum(['last', 'mean']).default('last'),
    /** window: by the window's own mean and deviation, channel by channel. range: min to max becomes -1 to 1. */
    normalise: z.enum(['window', 'range', 'none']).default('window'),
    /** Adds a channel of 1 (measured) and 0 (missing) for each. */
    mask: z.boolean().default(true),
    /** Names of the classes, in the order of the model's outputs; none: unlabelled, for models that rebuild their input. */
    classes: z.array(z.string().min(1).max(80)).max(10_000).default([]),
    /** Windows of so many seconds belong together, and are all trained on or all held back; default: ten windows. */
    blockSeconds: z.number().gt(0).optional(),
  })
  .superRefine(({ channels, normalise, classes, window, stride }, context) => {
    const refuse = (path: (string | number)[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    const seen = new Set<string>();
    for (const [i, { name, min, max }] of channels.entries()) {
      if (seen.has(name)) refuse(['channels', i, 'name'], 'each channel needs a name of its own');
      seen.add(name);
      if (normalise === 'range' && (min === undefined || max === undefined))
        refuse(['channels', i], 'normalise: range needs min and max of every channel');
    }
    if (new Set(classes).size !== classes.length) refuse(['classes'], 'each class needs a name of its own');
    if (stride !== undefined && stride > window) refuse(['stride'], 'a stride above window leaves readings out');
  });

/** Checked settings of a stream, with their defaults. */
export type StreamConfig = z.output<typeof streamSchema>;

/** Shape of a window: [channels, ticks], with masks [2 channels, ticks]. */
export const streamShape = ({ channels, mask, window }: StreamConfig): number[] => [
  channels.length * (mask ? 2 : 1),
  window,
];

/**
 * 16 hex digits over all settings that a window's values depend on: names and order of the channels, rate, length, imputation,
 * normalisation, masks, classes. Nodes that differ in it must not train one model.
 */
export function streamDigest(stream: StreamConfig): string {
  const { channels, rateHz, window, impute, normalise, mask, classes } = stream;
  const ranges = normalise === 'range' ? channels.map(({ min, max }) => [min, max]) : [];
  const what = [channels.map((c) => c.name), rateHz, window, impute, normalise, mask, classes, ranges];
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16);
}
