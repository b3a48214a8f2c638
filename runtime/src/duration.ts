import { InvalidArgumentError } from 'commander';

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export const DAY_MS = UNITS.d;

/** A time on the command line, as 30m, 24h or 7d, in ms. */
export function duration(text: string): number {
  const [, count, unit] = /^(\d+)([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * UNITS[unit as keyof typeof UNITS];
  if (!(ms > 0)) throw new InvalidArgumentError('Use a whole number and m, h or d, as in 30m, 24h or 7d.');
  return ms;
}
