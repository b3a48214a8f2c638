import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { watchCloud, withFleet } from './harness.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const DOCS = join(ROOT, 'docs', 'tutorial');
const EXAMPLE = join(ROOT, 'examples', 'own-combiner');

/** Every package that is published, and what it needs of ours. */
const NEEDS = {
  protocol: [],
  runtime: ['protocol'],
  models: ['protocol', 'runtime'],
  broker: ['protocol', 'runtime'],
  edge: ['models', 'protocol', 'runtime'],
  cloud: ['models', 'protocol', 'runtime'],
  cli: ['broker', 'cloud', 'edge', 'models', 'protocol', 'runtime'],
} as const;
type Package = keyof typeof NEEDS;

function run(cwd: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Every source map that a package's files name is packed with them, and holds its sources. */
function checkSourceMaps(folder: string): void {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && /\.(js|ts|map)$/.test(e.name))
    .map((e) => join(e.parentPath, e.name));
  assert.ok(files.some((f) => f.endsWith('.js.map')));
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    if (file.endsWith('.map')) {
      const { sources, sourcesContent = [] } = JSON.parse(text) as { sources: string[]; sourcesContent?: string[] };
      assert.ok(sources.length > 0 && sources.every((_, i) => sourcesContent[i]), `${file} has no sources inside`);
      continue;
    }
    const [, map] = /^\/\/# sourceMappingURL=(.+)$/m.exec(text) ?? [];
    assert.ok(map === undefined || existsSync(join(dirname(file), map)), `${file} names ${map}, which is not packed`);
  }
}

/** What a program prints that imports a part of a package as a stranger does: how many names there are, and whether ONNX Runtime came. */
const importing = (name: string): string =>
  `import('${name}').then((m) => console.log(Object.keys(m).length, ` +
  `Object.keys(require.cache).some((f) => f.includes('onnxruntime'))))`;

test('each package, packed, installs in an empty folder and starts', (t) =>
  withFleet(1, async (fleet) => {
    const packed = join(fleet.folder, 'packed');
    mkdirSync(packed);
    const name = (p: Package): string => (p === 'cli' ? 'ecavg' : `@ecavg/${p}`);
    const all = Object.keys(NEEDS) as Package[];
    run(ROOT, 'npm', 'pack', '--silent', '--pack-destination', packed, ...all.flatMap((p) => ['-w', name(p)]));
    const tarball = (p: Package): string => {
      const start = p === 'cli' ? /^ecavg-\d/ : new RegExp(`^ecavg-${p}-`);
      const file = readdirSync(packed).find((f) => start.test(f));
      assert.ok(file, `no tarball of ${p}`);
      return join(packed, file);
    };
    const install = (p: Package): string => {
      const home = join(fleet.folder, `install-${p}`);
      mkdirSync(home);
      writeFileSync(join(home, 'package.json'), '{"private":true}');
      const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--omit=optional', '--ignore-scripts'];
      run(home, 'npm', 'install', ...flags, ...[p, ...NEEDS[p]].map(tarball));
      const megabytes = Number(run(home, 'du', '-sk', 'node_modules').split('\t')[0]) / 1000;
      t.diagnostic(`${name(p)}: ${megabytes.toFixed(0)} MB installed`);
      checkSourceMaps(join(home, 'node_modules', name(p)));
      return home;
    };
    for (const p of ['protocol', 'runtime', 'models'] as const) {
      const home = install(p);
      const parts = p === 'models' ? ['', '/autodiff', '/train', '/data', '/zoo', '/settings'] : [''];
      for (const part of parts) {
        const [count, runtime] = run(home, process.execPath, '-e', importing(name(p) + part))
          .trim()
          .split(' ');
        assert.ok(Number(count) > (part === '/zoo' ? 1 : 5), `${p}${part} exports ${count}`);
        assert.equal(runtime, 'false', `${p}${part} loads ONNX Runtime before it is needed`);
      }
      // Declarations name nothing that is not installed with the package, such as TensorFlow.js.
      writeFileSync(join(home, 'a.mts'), parts.map((part) => `export * from '${name(p) + part}';\n`).join(''));
      const flags = '--noEmit --strict --module nodenext --target es2023 --types node --typeRoots';
      if (p !== 'runtime')
        run(home, process.execPath, TSC, ...flags.split(' '), join(ROOT, 'node_modules/@types'), 'a.mts');
    }
    const cli = install('cli');
    assert.match(run(cli, 'npx', 'ecavg', 'plan', '--gateways', '20'), /a gateway, a month/);

    // Broker, cloud and gateway, each from its own folder, make a round of the tutorial's data.
    run(fleet.folder, process.execPath, join(DOCS, 'machines.mjs'), 'data');
    const start = (p: 'broker' | 'edge' | 'cloud', config: object) => {
      const file = join(fleet.folder, `${p}.yaml`);
      writeFileSync(file, stringify(config));
      const bin = join(install(p), 'node_modules', '@ecavg', p, 'bin', `ecavg-${p}.js`);
      return fleet.processes.start(p, [bin, '--config', file]);
    };
    const settings = (file: string): object => {
      const text = readFileSync(join(DOCS, file), 'utf8').replaceAll(/\bdata\//g, `${join(fleet.folder, 'data')}/`);
      return parse(text) as object;
    };
    const broker = { url: String((await start('broker', { listen: { port: 0 } })).ready.url) };
    cpSync(join(EXAMPLE, 'nearest.mjs'), join(fleet.folder, 'nearest.mjs'));
    const cloud = await start('cloud', {
      ...settings('cloud.yaml'),
      broker,
      http: { port: 0, anonymous: 'viewer' },
      rounds: { count: 1, minEdges: 1, pretrainEpochs: 8, learningRate: 0.01 },
      extensions: ['./nearest.mjs'],
      strategy: { weighting: ['capped'] },
    });
    const url = String(cloud.ready.dashboard);
    assert.match(await (await fetch(url)).text(), /<title>ecavg<\/title>/);
    const events = watchCloud(url);
    await start('edge', { ...settings('pump-1.yaml'), broker });
    await events.until('finished');
    events.close();
    const closed = events.seen.find((e) => e.type === 'round-closed');
    assert.deepEqual(closed?.data.accepted, ['pump-1']);
    // An extension's own tests, beside the installed package.
    const home = join(fleet.folder, 'install-cloud');
    cpSync(EXAMPLE, join(home, 'own'), { recursive: true });
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    execFileSync(process.execPath, ['--test', join('own', 'nearest.test.mjs')], { cwd: home, env, stdio: 'pipe' });
  }));
