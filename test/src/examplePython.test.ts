import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withExample } from './example.js';
import { findProgram, withFleet } from './harness.js';

const run = promisify(execFile);
const python = findProgram('python3');

test(
  'example python-sensor: what a plain Python program publishes is learnt from, and its questions are answered',
  { ...('skip' in python && python) },
  () =>
    withFleet(1, (fleet) =>
      withExample(fleet, 'python-sensor', async ({ start, cloud }) => {
        assert.ok('path' in python);
        await run(python.path, ['sensor.py', '--reference', 'data/reference/a.csv']);
        const events = await cloud();
        await start('gateway', 'edge');
        const { stdout } = await run(python.path, ['sensor.py', '--port', new URL(fleet.brokerUrl).port]);
        assert.match(stdout, /^\d+ answers, the last 10 of them right$/m);
        const trained = await events.until('report', (d) => d.event === 'trained');
        assert.equal(trained.data.edge, 'fan-1');
      }),
    ),
);
