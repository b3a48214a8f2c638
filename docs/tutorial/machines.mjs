// Writes recordings of three simulated pumps, and of a fourth for the cloud, as CSV: node docs/tutorial/machines.mjs data
// Each has a vibration and a temperature at 50 Hz. A worn bearing adds a fast ripple to the vibration. SIMULATED: no pump was measured.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const RATE = 50;
const SECONDS = 200;
const folder = process.argv[2] ?? 'data';

// A small generator of random numbers, so that everybody gets the same files.
function random(seed) {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

function recording(seed, shaft, gain) {
  const next = random(seed);
  const start = Date.UTC(2026, 10, 1) + seed * 3_600_000;
  const lines = ['time,vibration,temperature,state'];
  let worn = false;
  for (let i = 0; i < SECONDS * RATE; i++) {
    // Ten seconds of one state, then of one by lot.
    if (i % (10 * RATE) === 0) worn = next() < 0.5;
    const t = i / RATE;
    const ripple = worn ? 0.6 * Math.sin(2 * Math.PI * 17 * t) : 0;
    const vibration = gain * (Math.sin(2 * Math.PI * shaft * t) + ripple + 0.4 * (next() - 0.5));
    const temperature = 45 + 3 * Math.sin(t / 40) + (next() - 0.5);
    // Now and then the line drops some readings.
    const lost = Math.floor(t) % 37 === 5;
    const time = new Date(start + (i * 1000) / RATE).toISOString();
    lines.push(`${time},${lost ? '' : vibration.toFixed(4)},${temperature.toFixed(2)},${worn ? 'worn' : 'ok'}`);
  }
  return `${lines.join('\n')}\n`;
}

const machines = { 'pump-1': [1, 3, 1], 'pump-2': [2, 3.5, 2], 'pump-3': [3, 2.5, 0.7], reference: [4, 3.2, 1.3] };
for (const [name, [seed, shaft, gain]] of Object.entries(machines)) {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, 'day-1.csv'), recording(seed, shaft, gain));
}
