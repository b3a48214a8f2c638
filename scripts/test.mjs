// Runs the built tests with Node's own runner: `node scripts/test.mjs unit integration`.
// Unit tests lie beside their sources (*.test.ts); integration tests are the package test/.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const UNIT = ['protocol', 'runtime', 'models', 'broker', 'edge', 'cloud', 'cli', 'deploy', 'bench'];
const kinds = process.argv.slice(2).filter((a) => !a.startsWith('--'));
const flags = process.argv.slice(2).filter((a) => a.startsWith('--'));
const folders = kinds.flatMap((kind) => (kind === 'unit' ? UNIT : ['test']));

/** Test files below a folder, in the order of their names. */
function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && e.name.endsWith('.test.js'))
    .map((e) => join(e.parentPath ?? e.path, e.name))
    .sort();
}

const files = folders.flatMap((f) => testFiles(join(f, 'dist')));
if (files.length === 0) {
  process.stderr.write('No built tests: run "npm run build" and say "unit", "integration" or both.\n');
  process.exit(2);
}
// Integration tests start whole fleets: one file at a time keeps their timing that of a machine in use.
const concurrency = kinds.includes('integration') ? 1 : 2;
const args = [
  '--import',
  './scripts/fixed-seeds.mjs',
  '--test',
  '--test-reporter=spec',
  `--test-concurrency=${concurrency}`,
  ...flags,
  ...files,
];
process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1);
