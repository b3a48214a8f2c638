import { TFJS_BACKENDS } from './tfjs.js';
import type { TrainRow } from './trainFigures.js';

const digits = (v: number | undefined, d: number): string => (v === undefined ? '-' : v.toFixed(d));

/** Columns of the table that a person reads; `--json` has more. */
const COLUMNS: Readonly<Record<string, (r: TrainRow) => string>> = {
  model: (r) => r.model,
  threads: (r) => String(r.threads),
  'step ms': (r) => digits(r.stepMs, 1),
  'forward ms': (r) => digits(r.forwardMs, 1),
  'step/forward': (r) => digits(r.stepToForward, 2),
  'samples/s': (r) => digits(r.samplesPerSecond, 0),
  'GFLOP/s': (r) => digits(r.gflops, 0),
  MatMul: (r) => digits(r.matmulGflops, 0),
  'RSS MB': (r) => String(r.peakRssMb),
  '/ PyTorch step': (r) => digits(r.stepToPyTorch, 2),
  '/ PyTorch RSS': (r) => digits(r.memoryToPyTorch, 2),
};

export function printTrain(rows: readonly TrainRow[]): void {
  const columns = { ...COLUMNS };
  for (const backend of TFJS_BACKENDS) {
    if (!rows.some((r) => r.tfjs.some((t) => t.backend === backend))) continue;
    columns[`x ${backend}`] = ({ tfjs }) => {
      const peer = tfjs.find((t) => t.backend === backend);
      return peer?.why ? "can't train" : digits(peer?.speedup, 1);
    };
  }
  table(
    Object.keys(columns),
    rows.map((r) => Object.values(columns).map((cell) => cell(r))),
  );
}

/** Prints columns, aligned to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  for (const row of all) process.stdout.write(`${row.map((c, i) => c.padStart(widths[i] ?? 0)).join('  ')}\n`);
}
