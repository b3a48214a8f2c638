import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ECAVG, watchCloud, withFleet } from './harness.js';

const EXAMPLE = fileURLToPath(new URL('../../examples/regional/', import.meta.url));

test('example regional: two regions of two edges make two rounds', () =>
  withFleet(4, async (fleet) => {
    const before = process.cwd();
    const folder = join(fleet.folder, 'regional');
    cpSync(EXAMPLE, folder, { recursive: true });
    const { ready } = await fleet.broker();
    const variables = {
      ECAVG_CLOUD_BROKER__URL: String(ready.url),
      ECAVG_CLOUD_UPSTREAM__BROKER__URL: String(ready.url),
      ECAVG_EDGE_BROKER__URL: String(ready.url),
    };
    // The settings name their folders from where they are run.
    process.chdir(folder);
    Object.assign(process.env, variables);
    try {
      const start = (name: string, kind: string) =>
        fleet.processes.start(name, [ECAVG, kind, '--config', join(folder, `${name}.yaml`)]);
      for (const name of ['north', 'south']) await start(name, 'cloud');
      for (const name of ['north-1', 'north-2', 'south-1', 'south-2']) await start(name, 'edge');
      // Only the cloud has a dashboard, and no way up.
      delete process.env.ECAVG_CLOUD_UPSTREAM__BROKER__URL;
      Object.assign(process.env, { ECAVG_CLOUD_HTTP__PORT: '0', ECAVG_CLOUD_HTTP__ANONYMOUS: 'viewer' });
      const cloud = await start('cloud', 'cloud');
      const events = watchCloud(String(cloud.ready.dashboard));
      await events.until('finished');
      events.close();
      const closed = events.seen.filter((e) => e.type === 'round-closed');
      assert.equal(closed.length, 2);
      const accepted = events.seen.filter((e) => e.type === 'accepted').map((e) => e.data.edge);
      assert.deepEqual([...new Set(accepted)].sort(), ['north', 'south']);
    } finally {
      process.chdir(before);
      for (const name of [...Object.keys(variables), 'ECAVG_CLOUD_HTTP__PORT', 'ECAVG_CLOUD_HTTP__ANONYMOUS'])
        delete process.env[name];
    }
  }));
