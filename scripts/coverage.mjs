// What of each package the tests run: `npm run coverage`, or `npm run coverage -- unit integration`, or with a test file.
// coverage/lcov.info has it line by line, for editors.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const FOLDER = 'coverage';
const FIGURES = ['lines', 'branches', 'functions'];
const words = process.argv.slice(2);
const args = [
  'node_modules/c8/bin/c8.js',
  '--reporter=json-summary',
  '--reporter=lcovonly',
  `--reports-dir=${FOLDER}`,
  '--exclude=**/*.test.*',
  '--exclude=**/*.cases.*',
  '--exclude=test/**',
  '--exclude=scripts/**',
  process.execPath,
  'scripts/test.mjs',
  ...(words.length > 0 ? words : ['unit']),
];
const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });

const summary = JSON.parse(readFileSync(`${FOLDER}/coverage-summary.json`, 'utf8'));
const packages = new Map();
for (const [file, figures] of Object.entries(summary)) {
  const name = file === 'total' ? 'all' : relative(process.cwd(), file).split('/')[0];
  const sums = packages.get(name) ?? FIGURES.map(() => ({ total: 0, covered: 0 }));
  packages.set(name, sums);
  for (const [i, figure] of FIGURES.entries()) {
    sums[i].total += figures[figure].total;
    sums[i].covered += figures[figure].covered;
  }
}
const percent = ({ total, covered }) => (total === 0 ? '-' : `${((100 * covered) / total).toFixed(1)} %`);
const row = (name, cells) => process.stdout.write(`${name.padEnd(10)}${cells.map((c) => c.padStart(11)).join('')}\n`);
row('package', FIGURES);
for (const [name, sums] of [...packages].sort(([a], [b]) => (a === 'all' ? 1 : b === 'all' ? -1 : a.localeCompare(b))))
  row(name, sums.map(percent));
process.exit(status ?? 1);
