import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** What a package may import, of ours. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  runtime: ['protocol'],
  models: ['protocol'],
  broker: ['protocol', 'runtime'],
  edge: ['protocol', 'runtime', 'models'],
  cloud: ['protocol', 'runtime', 'models'],
  cli: ['protocol', 'runtime', 'models', 'broker', 'edge', 'cloud'],
};

/** Rooms of a package, the lower ones first: each may import those before it. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  edge: ['power', 'uplink', 'sources', 'samples', 'learning', 'inference', 'install'],
  cloud: [
    'aggregation',
    'fleet',
    'telemetry',
    'inbox',
    'judging',
    'versions',
    'rounds',
    'regional',
    'http',
    'commands',
  ],
};

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BIOME = join(dirname(createRequire(import.meta.url).resolve('@biomejs/biome/package.json')), 'bin', 'biome');
/** Ways to import. */
const FORMS = [
  (from: string) => `import '${from}';`,
  (from: string) => `import type { A } from '${from}';`,
  (from: string) => `export type { A } from '${from}';`,
  (from: string) => `void import('${from}');`,
];

/** A copy of the rules, and code that breaks them. */
const folder = mkdtempSync(join(tmpdir(), 'ecavg-lint-'));
after(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

interface Finding {
  readonly rule: string;
  readonly file: string;
  readonly line: number;
}
let findings: readonly Finding[] = [];

function lint(): Finding[] {
  const args = [BIOME, 'lint', '--error-on-warnings', '--max-diagnostics=none', '--reporter=github', '.'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 1, stdout + stderr);
  return [...stdout.matchAll(/^::error title=([^,]+),file=([^,]+),line=(\d+)/gm)].map(
    ([, rule = '', file = '', line]) => ({
      rule,
      file: relative(folder, file),
      line: Number(line),
    }),
  );
}

const of = (rule: string, file: string): number[] =>
  findings
    .filter((f) => f.rule === rule && f.file === file)
    .map((f) => f.line)
    .sort((a, b) => a - b);

/** A file that imports from everywhere, in every way; which of its lines are findings. */
function importing(from: readonly string[], allowed: (from: string) => boolean): { text: string; wrong: number[] } {
  const lines = from.flatMap((f) => FORMS.map((form) => ({ text: form(f), wrong: !allowed(f) })));
  return {
    text: `${lines.map((l) => l.text).join('\n')}\n`,
    wrong: lines.flatMap((l, i) => (l.wrong ? [i + 1] : [])),
  };
}

const packageNames = (name: string): string[] =>
  name === 'cli' ? ['ecavg', 'ecavg/x'] : [`@ecavg/${name}`, `@ecavg/${name}/x`];
const packageFile = (name: string) => {
  const others = Object.keys(PACKAGES).filter((p) => p !== name);
  const allowed = (PACKAGES[name] ?? []).flatMap(packageNames);
  return importing(others.flatMap(packageNames), (from) => allowed.includes(from));
};
/** `up` leads from the file to the folder of the rooms. */
const roomFile = (name: string, room: string, up: string) => {
  const rooms = ROOMS[name] ?? [];
  const lower = rooms.slice(0, rooms.indexOf(room)).map((r) => `${up}/${r}/x.js`);
  const others = rooms.filter((r) => r !== room).map((r) => `${up}/${r}/x.js`);
  return importing([...others, `${up}/config.js`, `${up}/unlisted/x.js`], (from) => lower.includes(from));
};
const each = Object.entries(ROOMS).flatMap(([name, rooms]) => rooms.map((room) => ({ name, room })));
const subfolders = each.flatMap(({ name, room }) =>
  readdirSync(join(ROOT, name, 'src', room), { withFileTypes: true, recursive: true })
    // Generated code is not looked at.
    .filter((e) => e.isDirectory() && e.name !== 'gen')
    .map((e) => ({ name, room, sub: e.name })),
);

before(() => {
  for (const path of ['biome.json', 'lint', '.gitignore'])
    cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  for (const name of Object.keys(PACKAGES)) write(`${name}/src/packages.ts`, packageFile(name).text);
  for (const { name, room } of each) {
    write(`${name}/src/${room}/rooms.ts`, roomFile(name, room, '..').text);
    write(`${name}/src/${room}/packages.ts`, packageFile(name).text);
    write(`${name}/src/${room}/own.ts`, "import './x.js';\n");
  }
  for (const { name, room, sub } of subfolders) {
    write(`${name}/src/${room}/${sub}/rooms.ts`, roomFile(name, room, '../..').text);
    write(`${name}/src/${room}/${sub}/packages.ts`, packageFile(name).text);
    write(`${name}/src/${room}/${sub}/own.ts`, "import './x.js';\nimport '../x.js';\n");
  }
  write('models/src/a.ts', "import type { B } from './b.js';\nexport type A = B | 1;\n");
  write('models/src/b.ts', "import type { A } from './a.js';\nexport type B = A | 2;\n");
  write('models/src/long.ts', 'export const x = [\n'.concat('  1,\n'.repeat(299), '];\n'));
  write('models/src/fits.ts', 'export const x = [\n'.concat('  1,\n'.repeat(298), '];\n'));
  write('models/src/typed.ts', "export type T = import('./a.js').A;\nexport type M = typeof import('./a.js');\n");
  const parameters = (n: number): string => Array.from({ length: n }, (_, i) => `readonly p${i}: number`).join(', ');
  write('models/src/five.ts', `export class A {\n  constructor(${parameters(5)}) {}\n}\n`);
  write('models/src/private.ts', `export class A {\n  private constructor(${parameters(6)}) {}\n}\n`);
  write('models/src/uncoded.ts', "export const a = (): void => {\n  throw new RangeError('a', { cause: 1 });\n};\n");
  write('models/src/uncoded.test.ts', "export const a = (): void => {\n  throw new Error('a');\n};\n");
  write('models/src/four.ts', `export class A {\n  constructor(${parameters(4)}) {}\n}\n`);
  findings = lint();
});

describe('lint', () => {
  test('packages import the ones below them', () => {
    for (const name of Object.keys(PACKAGES)) {
      const { wrong } = packageFile(name);
      assert.deepEqual(of('lint/style/noRestrictedImports', `${name}/src/packages.ts`), wrong, name);
    }
    for (const { name, room } of each)
      assert.deepEqual(
        of('lint/style/noRestrictedImports', `${name}/src/${room}/packages.ts`),
        packageFile(name).wrong,
        `${name}/${room}`,
      );
  });

  test('rooms import the ones below them, and no file of the root', () => {
    for (const { name, room } of each) {
      const found = of('lint/style/noRestrictedImports', `${name}/src/${room}/rooms.ts`);
      assert.deepEqual(found, roomFile(name, room, '..').wrong, `${name}/${room}`);
      assert.deepEqual(of('lint/style/noRestrictedImports', `${name}/src/${room}/own.ts`), []);
    }
    for (const { name, room, sub } of subfolders) {
      const at = `${name}/src/${room}/${sub}`;
      assert.deepEqual(of('lint/style/noRestrictedImports', `${at}/rooms.ts`), roomFile(name, room, '../..').wrong, at);
      assert.deepEqual(of('lint/style/noRestrictedImports', `${at}/packages.ts`), packageFile(name).wrong, at);
      assert.deepEqual(of('lint/style/noRestrictedImports', `${at}/own.ts`), [], at);
    }
  });

  test('every folder is a room of the list', () => {
    for (const [name, rooms] of Object.entries(ROOMS)) {
      const folders = readdirSync(join(ROOT, name, 'src'), { withFileTypes: true }).filter((e) => e.isDirectory());
      assert.deepEqual(folders.map((e) => e.name).sort(), [...rooms].sort(), name);
    }
  });

  test('no cycle of imports, of types neither', () => {
    assert.deepEqual(of('lint/suspicious/noImportCycles', 'models/src/a.ts'), [1]);
    assert.deepEqual(of('lint/suspicious/noImportCycles', 'models/src/b.ts'), [1]);
  });

  test('types are imported where the rules see them', () => {
    assert.deepEqual(of('plugin', 'models/src/typed.ts'), [1, 2]);
  });

  test('no file above 300 lines', () => {
    assert.deepEqual(of('lint/style/noExcessiveLinesPerFile', 'models/src/long.ts'), [1]);
    assert.deepEqual(of('lint/style/noExcessiveLinesPerFile', 'models/src/fits.ts'), []);
  });

  test('an error has a code, but in tests', () => {
    assert.deepEqual(of('plugin', 'models/src/uncoded.ts'), [2]);
    assert.deepEqual(of('plugin', 'models/src/uncoded.test.ts'), []);
  });

  test('no constructor above four parameters', () => {
    assert.deepEqual(of('plugin', 'models/src/five.ts'), [2]);
    assert.deepEqual(of('plugin', 'models/src/private.ts'), [2]);
    assert.deepEqual(of('plugin', 'models/src/four.ts'), []);
  });
});
