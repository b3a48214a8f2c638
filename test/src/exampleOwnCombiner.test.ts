import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ECAVG, watchCloud, withFleet } from './harness.js';

const EXAMPLE = fileURLToPath(new URL('../../examples/own-combiner/', import.meta.url));
const TSC = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
const { NODE_TEST_CONTEXT: _, ...env } = process.env;
const run = (...args: string[]) => spawnSync(process.execPath, args, { cwd: EXAMPLE, env, encoding: 'utf8' });

test('example own-combiner: its types are those of the packages', () => {
  const strict = '--ignoreConfig --noEmit --allowJs --checkJs --strict --skipLibCheck --module nodenext --types node';
  const { status, stdout } = run(TSC, ...strict.split(' '), '--target', 'es2023', 'nearest.mjs');
  assert.equal(status, 0, stdout);
});

test('example own-combiner: it holds against the conformance suite', () => {
  const { status, stdout } = run('--test', 'nearest.test.mjs');
  assert.equal(status, 0, stdout);
});

test('example own-combiner: the cloud makes two rounds with it', () =>
  withFleet(3, async (fleet) => {
    const before = process.cwd();
    const folder = join(fleet.folder, 'own-combiner');
    cpSync(EXAMPLE, folder, { recursive: true });
    const url = String((await fleet.broker()).ready.url);
    const variables = {
      ECAVG_CLOUD_BROKER__URL: url,
      ECAVG_EDGE_BROKER__URL: url,
      ECAVG_CLOUD_HTTP__PORT: '0',
      ECAVG_CLOUD_HTTP__ANONYMOUS: 'viewer',
    };
    // The settings name their folders from where they are run.
    process.chdir(folder);
    Object.assign(process.env, variables);
    try {
      const start = (name: string, kind: string) =>
        fleet.processes.start(name, [ECAVG, kind, '--config', join(folder, `${name}.yaml`)]);
      const cloud = await start('cloud', 'cloud');
      const events = watchCloud(String(cloud.ready.dashboard));
      for (const name of ['press-1', 'press-2', 'press-3']) await start(name, 'edge');
      await events.until('finished');
      events.close();
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.deepEqual(
        closed.map((e) => [e.data.combiner, (e.data.accepted as string[]).length]),
        Array(2).fill(['nearest', 3]),
      );
    } finally {
      process.chdir(before);
      for (const name of Object.keys(variables)) delete process.env[name];
    }
  }));
