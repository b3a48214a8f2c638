import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ECAVG } from './harness.js';
import { paced } from './pace.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-demo-test-'));
after(() => rmSync(folder, { recursive: true }));

/** The demo as a process with its own temporary folder, by which its children can be told from others. */
function demo(name: string, ...args: string[]) {
  const home = mkdtempSync(join(folder, `${name}-`));
  const child = spawn(process.execPath, [ECAVG, 'demo', ...args], {
    env: { ...process.env, TMPDIR: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  child.stderr.on('data', (text) => lines.push(String(text)));
  return {
    child,
    lines,
    home,
    exit: once(child, 'exit').then(([code]) => code as number | null),
    async line(pattern: RegExp): Promise<string> {
      for (;;) {
        const found = lines.find((l) => pattern.test(l));
        if (found) return found;
        await once(reader, 'line', { signal: AbortSignal.timeout(paced(60_000)) });
      }
    },
    /** Processes whose command line names this demo's folder. */
    left: (): string[] =>
      execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
        .split('\n')
        .filter((l) => l.includes(home) && !l.includes('ps -eo')),
  };
}

async function gone(left: () => string[]): Promise<void> {
  // Children of a killed parent end by themselves a moment later: look until they have.
  const limit = Date.now() + paced(20_000);
  while (left().length > 0) {
    assert.ok(Date.now() < limit, `still there:\n${left().join('\n')}`);
    await sleep(50);
  }
}

interface Report {
  edges: number;
  rounds: number;
  dataset: string;
  accuracy: Record<'edgeBefore' | 'server' | 'edgeAfter', number>;
  bytes: Record<'up' | 'upFloat32' | 'down', number>;
  seconds: number;
  model: { name: string; version: number; sha256: string };
  sensor: { predicted: number; actual: number };
}

describe('ecavg demo', () => {
  test('--report holds what the run measured, and collaboration helped', async () => {
    const file = join(folder, 'r.json');
    const run = demo('report', '--edges', '4', '--rounds', '3', '--seed', '1', '--report', file);
    assert.equal(await run.exit, 0, run.lines.join('\n'));
    const r = JSON.parse(readFileSync(file, 'utf8')) as Report;
    assert.deepEqual([r.edges, r.rounds, r.dataset, r.model.name], [4, 3, 'mnist', 'mnist']);
    assert.ok(
      r.accuracy.server > 0.88 && r.accuracy.edgeAfter > r.accuracy.edgeBefore + 0.05,
      JSON.stringify(r.accuracy),
    );
    // 3 rounds of 4 updates of 101,770 float32 parameters.
    assert.equal(r.bytes.upFloat32, 3 * 4 * 101_770 * 4);
    assert.ok(r.bytes.up < r.bytes.upFloat32 / 14 && r.bytes.down > 4 * 101_770 * 4, JSON.stringify(r.bytes));
    assert.equal(r.model.version, 4);
    assert.match(r.model.sha256, /^[0-9a-f]{64}$/);
    assert.ok([r.sensor.predicted, r.sensor.actual].every((d) => Number.isInteger(d) && d >= 0 && d <= 9));
    assert.ok(r.seconds < 90);
    assert.deepEqual(run.left(), []);
    assert.deepEqual(readdirSync(run.home), [], 'the temporary folder is gone');
  });

  test('the vibration scenario says that it is simulated', async () => {
    const file = join(folder, 'v.json');
    const run = demo('vibration', '--scenario', 'vibration', '--edges', '2', '--rounds', '1', '--report', file);
    assert.equal(await run.exit, 0, run.lines.join('\n'));
    assert.match(run.lines.join('\n'), /SIMULATED[\s\S]*simulated data/);
    assert.match((JSON.parse(readFileSync(file, 'utf8')) as Report).dataset, /simulated/);
  });

  const interrupt = async (name: string, when: RegExp, signal: NodeJS.Signals, stop: (c: ChildProcess) => void) => {
    const run = demo(name, '--edges', '3', '--rounds', '50');
    await run.line(when);
    assert.ok(run.left().length > 0 || when.source.includes('learn'));
    stop(run.child);
    const code = await run.exit;
    await gone(run.left);
    if (signal === 'SIGINT') {
      assert.equal(code, 130);
      assert.deepEqual(readdirSync(run.home), []);
    }
  };
  test('Ctrl-C before anything is up leaves no process behind', () =>
    interrupt('early', /gateways learn/, 'SIGINT', (c) => c.kill('SIGINT')));
  test('Ctrl-C while the gateways start', () =>
    interrupt('start', /dashboard http/, 'SIGINT', (c) => c.kill('SIGINT')));
  test('Ctrl-C in a round', () => interrupt('round', /^round 2: /, 'SIGINT', (c) => c.kill('SIGINT')));
  test('kill -9 of the demo itself: its children end by themselves', () =>
    interrupt('kill', /^round 1: /, 'SIGKILL', (c) => c.kill('SIGKILL')));

  test('--keep-open stays up with the dashboard until Ctrl-C', async () => {
    const run = demo('open', '--edges', '2', '--rounds', '1', '--keep-open');
    const line = await run.line(/in the browser.*: http/);
    const url = /http:\S+/.exec(line)?.[0] ?? '';
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<title>ecavg<\/title>/);
    const onnx = await fetch(`${url}/api/v1/versions/2/model.onnx`);
    assert.ok((await onnx.arrayBuffer()).byteLength > 101_770 * 4);
    run.child.kill('SIGINT');
    await run.exit;
    await gone(run.left);
  });
});
