import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/docstrings.mjs', import.meta.url));
const run = (script: string, ...flags: string[]) =>
  spawnSync(process.execPath, [script, ...flags], { encoding: 'utf8' });

test('every name that the packages have at run time is looked at', async () => {
  const { stdout } = run(SCRIPT, '--names');
  const known = new Set(stdout.trim().split('\n'));
  for (const [entry, names] of Object.entries({
    'protocol/src/index.ts': Object.keys(await import('@ecavg/protocol')),
    'models/src/index.ts': Object.keys(await import('@ecavg/models')),
  })) {
    assert.ok(names.length > 20);
    for (const name of names) assert.ok(known.has(`${entry} ${name}`), `${name} of ${entry} is not found`);
  }
});

test('a name without a docstring is named with its line', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-docstrings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  mkdirSync(join(folder, 'scripts'));
  cpSync(SCRIPT, join(folder, 'scripts/docstrings.mjs'));
  write('protocol/src/index.ts', "export { type A as B, said } from './a.js';\n");
  write('protocol/src/a.ts', '/** Says something of it. */\nexport const said = 1;\n\nexport type A = 1;\n');
  write('models/src/index.ts', "export * from './deep/index.js';\n");
  write('models/src/deep/index.ts', "import { C } from './c.js';\nexport { C };\nexport async function plain() {}\n");
  write('models/src/deep/c.ts', '/** x */\nexport class C {}\n');
  const { status, stderr } = run(join(folder, 'scripts/docstrings.mjs'));
  assert.equal(status, 1);
  assert.deepEqual(stderr.trim().split('\n'), [
    'protocol/src/a.ts:4: B is exported and has no docstring',
    'models/src/deep/c.ts:2: C is exported and has no docstring',
    'models/src/deep/index.ts:3: plain is exported and has no docstring',
  ]);
});
