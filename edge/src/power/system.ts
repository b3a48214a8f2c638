import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

async function text(...path: string[]): Promise<string | undefined> {
  try {
    return (await readFile(join(...path), 'utf8')).trim();
  } catch {
    return undefined;
  }
}

async function entries(...path: string[]): Promise<string[]> {
  return readdir(join(...path)).catch(() => []);
}

/** The hottest thermal zone in degrees Celsius; undefined where the system has none (Linux: Documentation/driver-api/thermal). */
export async function temperature(sysfs: string): Promise<number | undefined> {
  const zones = (await entries(sysfs, 'class', 'thermal')).filter((z) => z.startsWith('thermal_zone'));
  const values = await Promise.all(zones.map((z) => text(sysfs, 'class', 'thermal', z, 'temp')));
  const degrees = values.filter((v): v is string => v !== undefined && v !== '').map((v) => Number(v) / 1000);
  const known = degrees.filter(Number.isFinite);
  return known.length > 0 ? Math.max(...known) : undefined;
}

/**
 * Whether the system runs on its battery: no mains supply is online or, where it knows of none, a battery is discharging. Undefined
 * where it tells nothing (Linux: Documentation/ABI/testing/sysfs-class-power).
 */
export async function onBattery(sysfs: string): Promise<boolean | undefined> {
  const folder = join(sysfs, 'class', 'power_supply');
  const [mains, batteries]: [string[], string[]] = [[], []];
  for (const name of await entries(folder)) {
    const type = await text(folder, name, 'type');
    if (type === 'Mains' || type === 'USB') mains.push((await text(folder, name, 'online')) ?? '');
    else if (type === 'Battery') batteries.push((await text(folder, name, 'status')) ?? '');
  }
  if (mains.some((online) => online !== '')) return mains.every((online) => online !== '1');
  return batteries.length > 0 ? batteries.includes('Discharging') : undefined;
}
