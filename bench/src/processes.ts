import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, Processes } from 'ecavg';

export const ECAVG = fileURLToPath(new URL('../../cli/bin/ecavg.js', import.meta.url));
/** No event of a measurement takes longer. */
export const LONGEST_MS = 600_000;

const TICKS_PER_SECOND = 100;

/** Daemons for one measurement, in a folder of their own. */
export class Daemons {
  readonly folder = mkdtempSync(join(tmpdir(), 'ecavg-bench-'));
  readonly #processes = new Processes(join(this.folder, 'logs'));

  start(name: string, kind: 'broker' | 'cloud' | 'edge', config: object): Promise<Child> {
    const file = join(this.folder, `${name}.json`);
    writeFileSync(file, JSON.stringify({ log: { format: 'json', level: 'warn' }, ...config }));
    return this.#processes.start(name, [ECAVG, kind, '--config', file]);
  }

  async stop(): Promise<void> {
    await this.#processes.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Resident memory of a process now and at its peak, MB, and the CPU time that it has used, seconds. Linux. */
export function usage(pid: number): { rssMb: number; peakMb: number; cpuSeconds: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  // Behind the name, which may hold anything, in parentheses: user and system time are the 14th and 15th fields.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\)\s/, '')
    .split(' ');
  const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  return { rssMb: kb('VmRSS') / 1024, peakMb: kb('VmHWM') / 1024, cpuSeconds };
}
