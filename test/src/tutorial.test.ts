import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ECAVG, watchCloud, withFleet } from './harness.js';

const VARIABLES = [
  'ECAVG_CLOUD_BROKER__URL',
  'ECAVG_EDGE_BROKER__URL',
  'ECAVG_CLOUD_HTTP__PORT',
  'ECAVG_CLOUD_HTTP__ANONYMOUS',
];
const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));

test('the tutorial: its data, its settings, its result', () =>
  withFleet(3, async (fleet) => {
    const before = process.cwd();
    const folder = join(fleet.folder, 'tutorial');
    mkdirSync(folder);
    // The settings name their folders from where they are run.
    process.chdir(folder);
    try {
      execFileSync(process.execPath, [join(DOCS, 'tutorial', 'machines.mjs'), 'data']);
      const text = readFileSync(join(DOCS, 'tutorial.md'), 'utf8');
      const [header, first] = readFileSync(join(folder, 'data', 'pump-1', 'day-1.csv'), 'utf8').split('\n');
      assert.ok(text.includes(`${header}\n${first}\n`), 'the text shows the first lines of the data');
      const { ready } = await fleet.broker();
      Object.assign(process.env, {
        ECAVG_CLOUD_BROKER__URL: String(ready.url),
        ECAVG_EDGE_BROKER__URL: String(ready.url),
        ECAVG_CLOUD_HTTP__PORT: '0',
        ECAVG_CLOUD_HTTP__ANONYMOUS: 'viewer',
      });
      const start = (name: string, kind: string) =>
        fleet.processes.start(name, [ECAVG, kind, '--config', join(DOCS, 'tutorial', `${name}.yaml`)]);
      const cloud = await start('cloud', 'cloud');
      const events = watchCloud(String(cloud.ready.dashboard));
      for (const pump of ['pump-1', 'pump-2', 'pump-3']) await start(pump, 'edge');
      await events.until('finished');
      events.close();
      const { data } = events.seen.findLast((e) => e.type === 'round-closed') as { data: Record<string, number> };
      assert.ok((data.accuracy ?? 0) > 0.9, JSON.stringify(data));
    } finally {
      process.chdir(before);
      for (const name of VARIABLES) delete process.env[name];
    }
  }));
