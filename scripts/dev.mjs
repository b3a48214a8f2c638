// Builds at every change of a source, and starts `ecavg ARGS` anew: `npm run dev`, `npm run dev -- cloud --config cloud.yaml`.
// Without arguments it is the demo, with its dashboard.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';

const args = process.argv.slice(2);
const command = args.length > 0 ? args : ['demo', '--keep-open'];
/** An editor writes several files, or one file twice. */
const SETTLE_MS = 200;

const say = (line) => process.stderr.write(`dev: ${line}\n`);
let child;
let building = false;
let again = false;

/** Ends what runs, and waits until it has. */
async function stop() {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await gone;
}

async function build() {
  if (building) {
    again = true;
    return;
  }
  building = true;
  do {
    again = false;
    const began = performance.now();
    const { status } = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
    const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    if (status !== 0) {
      say(`the build failed (${took}); what ran goes on`);
      continue;
    }
    await stop();
    say(`built in ${took}; ecavg ${command.join(' ')}`);
    child = spawn(process.execPath, ['cli/bin/ecavg.js', ...command], { stdio: 'inherit' });
    child.on('exit', (code, signal) => say(`it ended with ${signal ?? code}; a change starts it again`));
  } while (again);
  building = false;
}

let timer;
const changed = () => {
  clearTimeout(timer);
  timer = setTimeout(() => void build(), SETTLE_MS);
};
const packages = readdirSync('.', { withFileTypes: true }).filter(
  (e) => e.isDirectory() && existsSync(join(e.name, 'package.json')),
);
for (const folder of [...packages.map((e) => join(e.name, 'src')), 'cloud/dashboard'].filter((f) => existsSync(f)))
  watch(folder, { recursive: true }, changed);
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    child?.removeAllListeners('exit');
    void stop().then(() => process.exit(0));
  });
await build();
