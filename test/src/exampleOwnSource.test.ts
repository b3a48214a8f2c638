import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withExample } from './example.js';
import { withFleet } from './harness.js';

const SUITE = fileURLToPath(new URL('../../examples/own-source/http-poll.test.mjs', import.meta.url));

test('example own-source: it keeps its contract', () => {
  // Not as a test within this one, which would say nothing of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, ['--test', SUITE], { encoding: 'utf8', env });
  assert.equal(status, 0, stdout);
});

test('example own-source: a press that is asked over HTTP ends in two rounds', () =>
  withFleet(1, (fleet) =>
    withExample(fleet, 'own-source', async ({ start, cloud, replace }) => {
      execFileSync(process.execPath, ['machine.mjs', '--reference', 'data/reference/a.csv']);
      const machine = await fleet.processes.start('machine', ['machine.mjs', '0']);
      replace('gateway.yaml', 'http://127.0.0.1:8080/readings', String(machine.ready.url));
      const events = await cloud();
      await start('gateway', 'edge');
      const { data } = await events.until('report', (d) => d.event === 'quality');
      const { storedTrain, storedValidation } = data.values as Record<string, number>;
      assert.ok((storedTrain ?? 0) > 100 && (storedValidation ?? 0) > 10, JSON.stringify(data));
      await events.until('finished');
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => e.data.accepted),
        [['press-1'], ['press-1']],
      );
      assert.ok((closed.at(-1)?.data.accuracy as number) > 0.9, JSON.stringify(closed.at(-1)?.data));
    }),
  ));
