// Runs the built tests with Node's own runner: `node scripts/test.mjs unit integration`, or `node scripts/test.mjs FILE...`.
// Unit tests lie beside their sources (*.test.ts); integration tests are the package test/.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';

const UNIT = ['protocol', 'runtime', 'models', 'broker', 'edge', 'cloud', 'cli', 'deploy', 'bench'];
/** Integration tests start whole fleets, which mostly wait for one another: two files at a time fill two cores. */
const CONCURRENCY = 2;
/** No file takes nearly as long; where one hangs, this ends it. Longer where the machine has other work. */
const FILE_LIMIT_MS = 900_000 * Math.max(1, loadavg()[0] / 2);

const words = process.argv.slice(2).filter((a) => !a.startsWith('--'));
const flags = process.argv.slice(2).filter((a) => a.startsWith('--'));

/** Test files below a folder, in the order of their names. */
function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && e.name.endsWith('.test.js'))
    .map((e) => join(e.parentPath ?? e.path, e.name))
    .sort();
}

/** A test file as its source or as it is built: edge/src/a.test.ts, edge/dist/a.test.js. */
const built = (file) => file.replace('/src/', '/dist/').replace(/\.tsx?$/, '.js');

const folders = { unit: UNIT, integration: ['test'] };
const files = words.flatMap((word) =>
  Object.hasOwn(folders, word) ? folders[word].flatMap((f) => testFiles(join(f, 'dist'))) : [built(word)],
);
if (files.length === 0) {
  process.stderr.write('No built tests: run "npm run build" and say "unit", "integration", both, or a file.\n');
  process.exit(2);
}
const args = [
  '--import',
  './scripts/fixed-seeds.mjs',
  '--test',
  '--test-reporter=spec',
  `--test-concurrency=${CONCURRENCY}`,
  `--test-timeout=${Math.round(FILE_LIMIT_MS)}`,
  ...flags,
  ...files,
];
process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1);
