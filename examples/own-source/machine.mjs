// A press that tells of itself over HTTP: node machine.mjs [port]; GET /readings?since=MS gives its rows after that time.
// With --reference FILE it writes a recording for the cloud instead. SIMULATED: no press was measured.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname } from 'node:path';

const RATE = 20;
/** Rows at most in one answer. */
const PAGE = 2000;
/** How far back the press remembers. */
const MEMORY_MS = 20 * 60_000;

const noise = (i) => {
  const x = Math.sin(i * 12.9898) * 43758.5453;
  return x - Math.floor(x) - 0.5;
};

/** What the press measures at its tick number i: where it is worn, it shakes three times as fast. */
function row(i) {
  const t = i / RATE;
  const state = Math.floor(t / 10) % 2 === 1 ? 'worn' : 'ok';
  const shake = Math.sin(2 * Math.PI * (state === 'worn' ? 6 : 2) * t) + 0.4 * noise(i);
  // Now and then the line gives a spike.
  return {
    at: (i * 1000) / RATE,
    shake: i % 997 === 0 ? 400 : shake,
    heat: 60 + Math.sin(t / 30) + noise(i + 0.5),
    state,
  };
}

const [first, second] = process.argv.slice(2);
if (first === '--reference') {
  const start = Date.UTC(2026, 0, 1) / 1000;
  const rows = Array.from({ length: 400 * RATE }, (_, i) => row(start * RATE + i));
  const lines = rows.map((r) => `${new Date(r.at).toISOString()},${r.shake},${r.heat},${r.state}`);
  mkdirSync(dirname(second), { recursive: true });
  writeFileSync(second, `time,shake,heat,state\n${lines.join('\n')}\n`);
} else {
  const server = createServer((request, response) => {
    const since = Number(new URL(request.url, 'http://press').searchParams.get('since') ?? 0);
    const now = Math.floor((Date.now() * RATE) / 1000);
    const from = Math.max(Math.floor((since * RATE) / 1000) + 1, now - (MEMORY_MS * RATE) / 1000);
    const rows = Array.from({ length: Math.min(PAGE, Math.max(0, now - from)) }, (_, i) => row(from + i));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(rows));
  });
  server.listen(Number(first ?? 8080), '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}/readings`);
    // A test that started it hears of its address so.
    process.send?.({ type: 'ready', url: `http://127.0.0.1:${server.address().port}/readings` });
  });
  process.on('disconnect', () => process.exit());
}
