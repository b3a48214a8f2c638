import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './median.js';
import { ECAVG } from './processes.js';
import { table } from './table.js';

export interface CliFigures {
  readonly command: string;
  /** Median over the runs of user and system time, ms. */
  readonly cpuMs: number;
  readonly peakRssMb: number;
  /** CPU time beside that of `node -e 0`. */
  readonly ratio: number;
}

export interface CliBench {
  readonly runs: number;
  readonly json: boolean;
}

/** Writes at the end of a process what it has used; the writing itself takes less than a millisecond. */
const METER = `process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  require('node:fs').writeFileSync(process.env.ECAVG_METER, JSON.stringify([(userCPUTime + systemCPUTime) / 1000, maxRSS / 1024]));
});`;

/** What commands of the command line cost that do little, beside Node.js alone. Runs take turns, so that other loads touch all alike. */
function measureCli(runs: number): CliFigures[] {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-bench-'));
  try {
    const [meter, said, edge, cloud] = ['meter.cjs', 'said.json', 'edge.yaml', 'cloud.yaml'].map((n) =>
      join(folder, n),
    ) as [string, string, string, string];
    writeFileSync(meter, METER);
    writeFileSync(edge, JSON.stringify({ edge: 'a', model: 'm', dataDir: join(folder, 'edge') }));
    writeFileSync(cloud, JSON.stringify({ model: { id: 'm' }, dataDir: join(folder, 'cloud') }));
    const commands: readonly (readonly [string, readonly string[]])[] = [
      ['node -e 0', ['-e', '0']],
      ['ecavg --version', [ECAVG, '--version']],
      ['ecavg --help', [ECAVG, '--help']],
      ['ecavg edge --help', [ECAVG, 'edge', '--help']],
      ['ecavg edge status', [ECAVG, 'edge', 'status', '--config', edge]],
      ['ecavg cloud edges', [ECAVG, 'cloud', 'edges', '--config', cloud]],
    ];
    const took = commands.map(() => ({ cpu: [] as number[], rss: [] as number[] }));
    for (let run = 0; run < runs; run++) {
      for (const [i, [, args]] of commands.entries()) {
        const env = { ...process.env, ECAVG_METER: said };
        spawnSync(process.execPath, ['--require', meter, ...args], { env, stdio: 'ignore' });
        const [cpu = Number.NaN, rss = Number.NaN] = readMeter(said);
        took[i]?.cpu.push(cpu);
        took[i]?.rss.push(rss);
      }
    }
    const base = median(took[0]?.cpu ?? []);
    return commands.map(([command], i) => {
      const cpuMs = median(took[i]?.cpu ?? []);
      return { command, cpuMs, peakRssMb: median(took[i]?.rss ?? []), ratio: cpuMs / base };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const readMeter = (file: string): number[] => JSON.parse(readFileSync(file, 'utf8')) as number[];

export function benchCli({ runs, json }: CliBench): void {
  const rows = measureCli(runs);
  if (json) process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
  else
    table(
      ['command', 'CPU ms', 'peak RSS MB', '/ node -e 0'],
      rows.map((r) => [r.command, r.cpuMs.toFixed(0), r.peakRssMb.toFixed(0), r.ratio.toFixed(2)]),
    );
}
