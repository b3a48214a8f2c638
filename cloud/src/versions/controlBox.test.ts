import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createLogger } from '@ecavg/runtime';
import { ControlBox, type ControlRequest } from './controlBox.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-control-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });
const request: ControlRequest = { fleet: 'f', model: 'm', action: 'rollback', version: 3 };

describe('commands to a running cloud', () => {
  test('are carried out and answered, refusals too, and leave nothing behind', async () => {
    const folder = join(root, 'a');
    const seen: ControlRequest[] = [];
    const end = await new ControlBox(folder).serve(async (r) => {
      seen.push(r);
      if (r.action === 'pin') throw new Error('not now');
      return { done: true, text: 'done' };
    }, log);
    assert.deepEqual(await new ControlBox(folder).ask(request, 20_000), { done: true, text: 'done' });
    const refused = await new ControlBox(folder).ask({ ...request, action: 'pin' }, 20_000);
    assert.deepEqual(refused, { done: false, text: 'not now', error: 'ECAVG_UNEXPECTED' });
    assert.deepEqual(
      seen.map((r) => r.action),
      ['rollback', 'pin'],
    );
    // The request goes a moment after its answer has come.
    await end();
    assert.deepEqual(readdirSync(folder), []);
  });

  test('wait where no cloud runs, and are carried out when one starts; damaged ones are answered', async () => {
    const folder = join(root, 'b');
    assert.equal(await new ControlBox(folder).ask(request, 10), undefined);
    writeFileSync(join(folder, '1-x.request.json'), '{"action": "format the di');
    const seen: ControlRequest[] = [];
    const carried = new Promise<void>((resolve) => {
      void new ControlBox(folder)
        .serve(async (r) => {
          seen.push(r);
          resolve();
          return { done: true, text: 'done' };
        }, log)
        .then((end) => carried.then(end));
    });
    await carried;
    assert.deepEqual(seen, [request]);
  });
});
