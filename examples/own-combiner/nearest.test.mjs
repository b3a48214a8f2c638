// node --test nearest.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeCombiner, describeWeighting } from '@ecavg/cloud/conformance';
import { extension } from './nearest.mjs';

const { nearest } = extension.combiners;

// What the cloud relies on, whatever the combiner does.
describeCombiner('nearest', nearest);
describeWeighting('capped', extension.weightings.capped);

// What this one is for.
test('an update far from the others does not count', () => {
  const at = [0, 1, 2, 100];
  const geometry = { count: 4, squaredDistance: (i, j) => (at[i] - at[j]) ** 2 };
  assert.deepEqual(nearest.coefficients(geometry, { options: { keep: 0.75 } }), [1 / 3, 1 / 3, 1 / 3, 0]);
});
