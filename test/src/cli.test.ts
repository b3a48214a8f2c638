import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parse } from 'yaml';
import { ECAVG } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-cli-'));
after(() => rmSync(folder, { recursive: true }));
const ecavg = (args: string[], env: NodeJS.ProcessEnv = {}) => {
  const r = spawnSync(process.execPath, [ECAVG, ...args], { encoding: 'utf8', env: { ...process.env, ...env } });
  return { code: r.status, out: r.stdout, err: r.stderr };
};
const config = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};

describe('command line', () => {
  test('--help of every command shows examples and exits with 0', () => {
    for (const command of [[], ['demo'], ['broker'], ['cloud'], ['edge'], ['doctor'], ['reproduce'], ['plan']]) {
      const { code, out } = ecavg([...command, '--help']);
      assert.equal(code, 0);
      assert.match(out, /Example/i, command.join());
    }
  });

  test('the examples that --help shows are valid configurations', () => {
    for (const kind of ['broker', 'cloud', 'edge']) {
      const text = /Example file:\n([\s\S]*?)\n\nExit codes/.exec(ecavg([kind, '--help']).out)?.[1] ?? '';
      const { code, err } = ecavg([kind, '--config', config(`${kind}.yaml`, text), '--print-config']);
      assert.equal(code, 0, err);
    }
  });

  test('--print-config shows defaults, file and environment', () => {
    const file = config('edge.yaml', 'edge: press-2\nmodel: m\ndataDir: /tmp/x\n');
    const { out, code } = ecavg(['edge', '--config', file, '--print-config'], {
      ECAVG_EDGE_BROKER__URL: 'mqtts://plant:8883',
      ECAVG_EDGE_TRAIN__THREADS: '2',
    });
    assert.equal(code, 0);
    const shown = parse(out) as {
      edge: string;
      broker: { url: string };
      train: { threads: number };
      resendSeconds: number;
    };
    assert.deepEqual(
      [shown.edge, shown.broker.url, shown.train.threads, shown.resendSeconds],
      ['press-2', 'mqtts://plant:8883', 2, 10],
    );
  });

  test('mistakes end with code 2 and one sentence that says what to change', () => {
    const cases: [string[], RegExp][] = [
      [['edge', '--config', join(folder, 'none.yaml')], /none\.yaml can't be read \(ENOENT\): check the path/],
      [
        ['edge', '--config', config('a.yaml', 'edge: "a b"\nmodel: m\ndataDir: x')],
        /a\.yaml: edge is "a b": use 1-64 letters/,
      ],
      [['edge', '--config', config('b.yaml', 'edge: a\nmodel: m\ndataDir: x\nbrocker: 1')], /unknown field brocker/],
      [
        ['broker', '--config', config('c.yaml', 'listen: { host: 0.0.0.0 }')],
        /listen\.host is "0\.0\.0\.0": .*allowAnonymousFromNetwork/,
      ],
      [
        ['cloud', '--config', config('d.yaml', 'dataDir: x\nmodel: { id: m }\ncodec: { name: zip }')],
        /codec\.name is "zip"/,
      ],
      [['demo', '--edges', '0'], /whole number from 1 to 64/],
      [['demo', '--scenario', 'none'], /Allowed choices are mnist, vibration/],
      [['demo', '--scenario', 'vibration', '--model', 'cnn-small'], /takes images/],
      [['frobnicate'], /unknown command/],
    ];
    for (const [args, pattern] of cases) {
      const { code, err } = ecavg(args);
      assert.equal(code, 2, `${args.join(' ')}: ${err}`);
      assert.match(err, pattern);
      assert.doesNotMatch(err, /\n\s+at /, 'no stack trace');
    }
  });

  test('a port that is taken ends the broker with code 1 and a log line that says so', () => {
    const { code, err } = ecavg(
      ['broker', '--config', config('e.yaml', 'listen: { port: 1 , host: "127.0.0.2" }\nlog: { format: json }')],
      {
        ECAVG_BROKER_LISTEN__HOST: '127.255.255.254.1',
        ECAVG_BROKER_ALLOW_ANONYMOUS_FROM_NETWORK: 'true',
      },
    );
    assert.equal(code, 1);
    const line = JSON.parse(err.trim().split('\n').at(-1) ?? '{}') as { msg: string; err: { message: string } };
    assert.equal(line.msg, 'failed to start');
    assert.match(line.err.message, /127\.255\.255\.254\.1/);
  });

  test('doctor says which engines and stores are there', () => {
    const { code, out } = ecavg(['doctor', '--json']);
    assert.equal(code, 0, out);
    const checks = JSON.parse(out) as { name: string; ok: boolean; needed: boolean; detail: string }[];
    const by = new Map(checks.map((c) => [c.name, c]));
    for (const name of ['Node.js', 'engine ort', 'store embedded', 'data set mnist']) assert.ok(by.get(name)?.ok, name);
    // Optional: either it works or the way to get it is named.
    const tfjs = by.get('engine tfjs-node');
    assert.ok(tfjs?.ok || /npm (install|rebuild) @tensorflow\/tfjs-node/.test(tfjs?.detail ?? ''), tfjs?.detail);
    assert.equal(ecavg(['doctor', '--influx', 'http://127.0.0.1:1']).code, 1);
  });

  test('reproduce prints the table, writes a report, and goes on where it stopped', () => {
    const report = join(folder, 'reproduce.json');
    const args = ['reproduce', 'mnist', '--quick', '--work', join(folder, 'lab'), '--report', report];
    const first = ecavg(args);
    assert.equal(first.code, 0, first.err);
    for (const column of ['edge before', 'server', 'edge after', 'bytes up', 'plain average (the paper)'])
      assert.ok(first.out.includes(column), column);
    const { rows } = JSON.parse(readFileSync(report, 'utf8')) as { rows: { server: number }[] };
    assert.equal(rows.length, 5);
    const again = ecavg(args);
    assert.match(again.err, /taken from an earlier run/);
    assert.deepEqual(JSON.parse(readFileSync(report, 'utf8')).rows, rows);
    const missing = ecavg(['reproduce', 'cifar10', '--data', join(folder, 'none')]);
    assert.equal(missing.code, 2);
    assert.match(missing.err, /data_batch_1\.bin/);
  });
});
