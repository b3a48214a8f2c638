import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const EXAMPLE = fileURLToPath(new URL('../../examples/autodiff/', import.meta.url));

test('example autodiff: in 25 lines, the loss of a model falls without a training API', () => {
  const code = readFileSync(`${EXAMPLE}train.mjs`, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('//'));
  assert.ok(code.length <= 25, `${code.length} lines`);
  const printed = execFileSync(process.execPath, ['train.mjs'], { cwd: EXAMPLE, encoding: 'utf8' });
  const losses = [...printed.matchAll(/^step (\d+): loss ([\d.]+)$/gm)].map(([, , loss]) => Number(loss));
  assert.equal(losses.length, 6, printed);
  assert.ok(
    losses.every((loss, i) => i === 0 || loss < (losses[i - 1] ?? 0)),
    printed,
  );
  assert.ok((losses.at(-1) ?? 1) < 0.01 * (losses[0] ?? 0), printed);
});
