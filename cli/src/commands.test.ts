import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addCommands } from '@ecavg/runtime/commandLine';
import { Command } from 'commander';
import { COMMANDS } from './commands.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-commands-'));
after(() => rmSync(folder, { recursive: true }));

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const BIN = {
  ecavg: path('../bin/ecavg.js'),
  'ecavg-edge': path('../../edge/bin/ecavg-edge.js'),
  'ecavg-cloud': path('../../cloud/bin/ecavg-cloud.js'),
  'ecavg-broker': path('../../broker/bin/ecavg-broker.js'),
};

const edge = join(folder, 'edge.yaml');
writeFileSync(edge, `edge: a\nmodel: m\ndataDir: ${join(folder, 'edge')}\n`);
const cloud = join(folder, 'cloud.yaml');
writeFileSync(cloud, `dataDir: ${join(folder, 'cloud')}\nmodel: { id: m }\n`);
const broker = join(folder, 'broker.yaml');
writeFileSync(broker, `usersFile: ${join(folder, 'users.json')}\n`);

/** Writes, at the end of a process, which native libraries it has mapped. */
const REPORT = `data:text/javascript,${encodeURIComponent(
  `import { writeFileSync } from 'node:fs';
   process.on('exit', () => writeFileSync(process.env.LIBRARIES, JSON.stringify(process.report.getReport().sharedObjects)));`,
)}`;

/** Runs a command; which packages' code and which native libraries it loaded. */
function run(bin: keyof typeof BIN, args: readonly string[]) {
  const coverage = mkdtempSync(join(folder, 'coverage-'));
  const libraries = join(coverage, 'libraries.txt');
  const { status, stderr, stdout } = spawnSync(process.execPath, ['--import', REPORT, BIN[bin], ...args], {
    encoding: 'utf8',
    input: '',
    env: { ...process.env, NODE_V8_COVERAGE: coverage, LIBRARIES: libraries },
  });
  const urls = readdirSync(coverage)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => (JSON.parse(readFileSync(join(coverage, name), 'utf8')) as Coverage).result)
    .map((script) => script.url)
    .filter((url) => url.startsWith('file:'));
  const native = (JSON.parse(readFileSync(libraries, 'utf8')) as string[]).filter((file) => file.includes('onnx'));
  return { status, stdout, stderr, packages: new Set(urls.map(packageOf)), native };
}

interface Coverage {
  readonly result: readonly { readonly url: string }[];
}

/** An installed package by its name, one of ours by its folder. */
const packageOf = (url: string): string =>
  /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /([^/]+)\/(?:bin|dist)\//.exec(url)?.[1] ?? url;

describe('commands with 64 open files', () => {
  const started = performance.now();
  run('ecavg', ['--version']);
  // Where something starts after all, it is to end. A machine that takes long for the least of commands gets longer.
  const timeout = Math.ceil(Math.max(60_000, 200 * (performance.now() - started)));
  const under = (bin: keyof typeof BIN, args: readonly string[]) =>
    spawnSync('bash', ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, BIN[bin], ...args], {
      encoding: 'utf8',
      timeout,
    });

  test('say so in one sentence, or work', () => {
    for (const [bin, args] of [
      ['ecavg', ['broker', '--config', broker]],
      ['ecavg', ['cloud', '--config', cloud]],
      ['ecavg', ['edge', '--config', edge]],
      ['ecavg-edge', ['--config', edge]],
      ['ecavg', ['edge', 'status', '--config', edge]],
      ['ecavg', ['cloud', 'history', '--config', cloud]],
      ['ecavg', ['plan']],
      ['ecavg', ['demo', '--rounds', '1', '--no-keep-open']],
    ] as const) {
      const { status, stdout, stderr } = under(bin, args);
      const what = `${bin} ${args.join(' ')}\n${stdout}${stderr}`;
      if (status === 0) continue;
      assert.equal(status, 1, what);
      assert.equal(
        stderr,
        'too few files may be open: 64; ecavg needs 256: raise the limit with "ulimit -n 1024", or LimitNOFILE= of the service [ECAVG_STORAGE]\n',
        what,
      );
    }
    assert.deepEqual(under('ecavg', ['--version']).stderr, '');
    assert.equal(under('ecavg', ['--help']).status, 0);
  });
});

describe('commands', () => {
  test('stand in --help as the table lists them', async () => {
    const whole = new Command('ecavg');
    for (const entry of COMMANDS) {
      const command = await entry.load();
      assert.equal(command.name(), entry.name);
      whole.addCommand(command);
    }
    const listed = new Command('ecavg');
    await addCommands(listed, COMMANDS, []);
    assert.equal(listed.helpInformation(), whole.helpInformation());
  });

  test('--version and --help load the table and no command', () => {
    for (const args of [['--version'], ['--help'], ['help']]) {
      const { status, packages, native } = run('ecavg', args);
      assert.equal(status, 0);
      // Of the protocol, the table of error codes: it needs no other package.
      assert.deepEqual([...packages].sort(), ['cli', 'commander', 'protocol', 'runtime'], args.join(' '));
      assert.deepEqual(native, []);
    }
  });

  test('help of a daemon loads what describes it', () => {
    for (const [bin, args, own] of [
      ['ecavg', ['edge', '--help'], 'cli edge'],
      ['ecavg', ['cloud', '--help'], 'cli cloud'],
      ['ecavg', ['broker', '--help'], 'broker cli'],
      ['ecavg-edge', ['--help'], 'edge'],
      ['ecavg-cloud', ['--help'], 'cloud'],
      ['ecavg-broker', ['--help'], 'broker'],
    ] as const) {
      const { status, packages } = run(bin, args);
      assert.equal(status, 0);
      assert.deepEqual(
        [...packages].sort(),
        [...own.split(' '), 'commander', 'protocol', 'runtime'].sort(),
        `${bin} ${args}`,
      );
    }
  });

  test('what is no daemon runs without ONNX Runtime and without MQTT', () => {
    const light: readonly [keyof typeof BIN, readonly string[], number, RegExp][] = [
      ['ecavg', ['edge', 'status', '--config', edge], 2, /no gateway has run/],
      ['ecavg-edge', ['status', '--config', edge], 2, /no gateway has run/],
      ['ecavg', ['edge', 'install', '--config', edge, '--print'], 0, /\[Service\]/],
      ['ecavg', ['edge', '--config', edge, '--print-config'], 0, /edge: a/],
      ['ecavg', ['cloud', 'history', '--config', cloud], 2, /holds no versions/],
      ['ecavg', ['cloud', 'pin', '--config', cloud, '--wait', '1'], 1, /no cloud answered/],
      ['ecavg', ['cloud', 'user', 'list', '--config', cloud], 0, /^$/],
      ['ecavg-cloud', ['token', '--config', cloud], 0, /./],
      ['ecavg', ['cloud', 'edges', '--config', cloud], 0, /no edge is known yet/],
      ['ecavg', ['report', '--config', cloud, '--json'], 0, /"rounds": \[\]/],
      ['ecavg', ['plan', '--json'], 0, /"plan"/],
      ['ecavg', ['broker', 'user', 'list', '--config', broker], 0, /^$/],
    ];
    for (const [bin, args, code, said] of light) {
      const { status, stdout, stderr, packages, native } = run(bin, args);
      const what = `${bin} ${args.join(' ')}\n${stdout}${stderr}`;
      assert.equal(status, code, what);
      assert.match(stdout + stderr, said, what);
      assert.deepEqual(native, [], what);
      for (const heavy of ['onnxruntime-node', 'mqtt']) assert.ok(!packages.has(heavy), `${heavy}: ${what}`);
    }
  });
});
