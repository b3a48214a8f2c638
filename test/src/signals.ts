import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const RATE = 50;
const WINDOW = 64;
export const CLASSES = ['ok', 'worn'] as const;

/** Two sensors of one machine: a vibration that is faster where the machine is worn, and a temperature. */
export const stream = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  channels: [
    { name: 'vibration', min: -10, max: 10 },
    { name: 'temperature', unit: 'C', min: -20, max: 150 },
  ],
  rateHz: RATE,
  window: WINDOW,
  classes: [...CLASSES],
  maxAgeSeconds: 2,
  latenessSeconds: 0.2,
  blockSeconds: (2 * WINDOW) / RATE,
  ...more,
});

export interface Row {
  readonly at: number;
  readonly vibration: number;
  readonly temperature: number;
  readonly state: string;
}

/** `windows` windows of each class in turn, five windows at a time, from a time on (ms). */
export function* rows(windows: number, from: number, phase: number, warmth = 40): Generator<Row> {
  for (let i = 0; i < 2 * windows * WINDOW; i++) {
    const state = Math.floor(i / (5 * WINDOW)) % 2;
    const t = i / RATE;
    // Noise that is the same on every machine.
    const noise = Math.sin(i * 12.9898 + phase) * 43758.5453;
    yield {
      at: from + (i * 1000) / RATE,
      vibration: Math.sin(2 * Math.PI * (state === 1 ? 9 : 3) * t + phase) + 0.3 * (noise - Math.floor(noise) - 0.5),
      temperature: warmth + Math.sin(t / 3) + (noise - Math.floor(noise)),
      state: CLASSES[state] as string,
    };
  }
}

export function writeCsv(folder: string, name: string, data: Iterable<Row>): void {
  mkdirSync(folder, { recursive: true });
  const lines = [...data].map((r) => `${new Date(r.at).toISOString()},${r.vibration},${r.temperature},${r.state}`);
  writeFileSync(join(folder, name), `time,vibration,temperature,state\n${lines.join('\n')}\n`);
}

export const csvColumns = { time: { column: 'time' }, label: 'state' };
