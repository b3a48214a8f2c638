import { availableParallelism, loadavg } from 'node:os';

/** CPU time that the work below takes on a core of the machine that the limits were chosen on, ms. */
const REFERENCE_MS = 60;
const STEPS = 12_000_000;

/** How many times as long a core takes for the same work. */
function slowness(): number {
  const start = process.cpuUsage();
  let x = 1;
  for (let i = 0; i < STEPS; i++) x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
  const { user } = process.cpuUsage(start);
  return x === 0 ? 1 : user / 1000 / REFERENCE_MS;
}

/** How many processes of the last minute share a core. */
const crowding = (): number => (loadavg()[0] ?? 0) / availableParallelism();

/**
 * How many times as long things take here as on that machine with its two cores idle, from 1 to 20; measured once, when a
 * test file starts. ECAVG_PACE sets it.
 */
export const PACE = Number(process.env.ECAVG_PACE) || Math.min(20, Math.max(1, slowness()) * Math.max(1, crowding()));

/** A limit on waiting for what is to come: generous, and longer where the machine is slow or has other work. */
export const paced = (ms: number): number => Math.ceil(2 * ms * PACE);
