import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Combiner, defineCombiner } from './combiner.js';
import { COMBINERS } from './combiners.js';
import { describeCombiner, describeWeighting } from './conformance.js';
import { defineWeighting, type Weighting } from './weighting.js';
import { WEIGHTINGS } from './weightings.js';

for (const [name, record] of COMBINERS.entries) describeCombiner(name, record);
for (const [name, record] of WEIGHTINGS.entries) describeWeighting(name, record);

test('a record that lacks a part does not compile', () => {
  const described = { about: 'x', source: 'x', options: {} };
  const records: (Combiner | Weighting)[] = [
    // @ts-expect-error least is missing
    defineCombiner({ ...described, kind: 'streaming', coefficients: ({ weights }) => weights }),
    // @ts-expect-error coefficients are missing
    defineCombiner({ ...described, kind: 'streaming', least: () => 1 }),
    // @ts-expect-error ownDifference is missing
    defineCombiner({ ...described, kind: 'weighted-sum', least: () => 1, coefficients: (_, { weights }) => weights }),
    // @ts-expect-error there is no such kind
    defineCombiner({ ...described, kind: 'sum', least: () => 1, coefficients: () => [] }),
    // @ts-expect-error it gives nothing
    defineWeighting(described),
    // @ts-expect-error it has no such option
    defineWeighting({ ...described, options: { a: { about: 'x', default: 1 } }, factor: (_, { b }) => b }),
  ];
  assert.equal(records.length, 6);
});

test('faulty records fail the suite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-faulty-'));
  const file = join(folder, 'faulty.mjs');
  const suite = JSON.stringify(new URL('./conformance.js', import.meta.url).href);
  const common = "about: 'x', source: '', options: {}, least: () => 1";
  writeFileSync(
    file,
    `import { describeCombiner, describeWeighting } from ${suite};
describeCombiner('shapeless', { kind: 'streaming', about: 'x', source: '', options: {}, least: () => 0.5, coefficients: () => [] });
describeCombiner('first', { ${common}, kind: 'streaming', coefficients: ({ weights }) => weights.map((_, k) => (k === 0 ? 1 : 0)) });
describeCombiner('greedy', { ${common}, kind: 'streaming', coefficients: ({ weights }) => { weights[0] = 1; return weights; } });
describeCombiner('double', { ${common}, kind: 'weighted-sum', ownDifference: false, coefficients: ({ count }) => Array(count).fill(2 / count) });
describeCombiner('blocky', { ${common}, kind: 'coordinates', combine: (rows, out) => out.fill(out.length) });
describeWeighting('negative', { about: 'x', source: '', options: {}, shares: (updates) => updates.map(() => -1) });
`,
  );
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
    env,
    encoding: 'utf8',
  });
  rmSync(folder, { recursive: true });
  assert.equal(status, 1);
  const failed = (name: string): RegExp => new RegExp(`^\\s*not ok \\d+ - ${name}`, 'm');
  for (const name of ['shapeless', 'first', 'greedy', 'double', 'blocky'])
    assert.match(stdout, failed(`combiner ${name}`));
  assert.match(stdout, failed('weighting negative'));
  assert.match(stdout, failed('the order of updates does not matter'));
  assert.match(stdout, failed('updates that agree'));
  assert.match(stdout, failed('the result of a coordinate'));
});
