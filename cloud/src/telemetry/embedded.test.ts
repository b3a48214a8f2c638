import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLogger } from '@ecavg/runtime';
import { EmbeddedTelemetry } from './embedded.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-telemetry-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });

test('the embedded store keeps points across restarts, newest first, measurements apart', async () => {
  const folder = join(root, 'telemetry');
  const point = (at: number, value: number) =>
    ({ measurement: 'ecavg_round', tags: { fleet: 'f' }, fields: { value }, at }) as const;
  const store = await EmbeddedTelemetry.open(folder, log);
  store.write([point(10, 1), point(9, 0), point(10, 2)]);
  store.write([{ ...point(11, 3), measurement: 'ecavg_edge' }]);
  await store.close();
  const again = await EmbeddedTelemetry.open(folder, log);
  assert.deepEqual(
    (await again.query('ecavg_round', 10)).map((p) => p.fields.value),
    [2, 1, 0],
  );
  assert.deepEqual(
    (await again.query('ecavg_round', 1)).map((p) => p.fields.value),
    [2],
  );
  assert.deepEqual(await again.query('ecavg_edge', 10), [{ ...point(11, 3), measurement: 'ecavg_edge' }]);
  await again.close();
});
