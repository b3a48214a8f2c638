import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError, createLogger, loadConfig } from '@ecavg/runtime';
import { cloudFileSchema } from '../cloudFile.js';
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
    assert.deepEqual(refused, { done: false, text: 'not now' });
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

describe('a cloud file with several models', () => {
  const load = async (tree: object) => {
    const file = join(root, 'cloud.yaml');
    writeFileSync(file, JSON.stringify(tree));
    const loaded = await loadConfig(cloudFileSchema, { file });
    if (loaded.role === 'regional') throw new Error('not the settings of a cloud');
    return loaded;
  };
  const refused = (tree: object, pattern: RegExp): Promise<void> =>
    assert.rejects(
      () => load(tree),
      (e) => e instanceof ConfigError && pattern.test(e.message),
    );

  test('entries take from the top level what they do not set, and fleets keep apart', async () => {
    const { models, dataDir } = await load({
      fleet: 'one',
      dataDir: '/d',
      rounds: { minEdges: 3, quorum: 0.5 },
      models: [
        { model: { id: 'a' } },
        { model: { id: 'b', architecture: 'cnn-small' }, rounds: { quorum: 1 } },
        { fleet: 'two', model: { id: 'a' } },
      ],
    });
    assert.equal(dataDir, '/d');
    assert.deepEqual(
      models.map((m) => [m.fleet, m.model.id, m.dataDir, m.rounds.minEdges, m.rounds.quorum]),
      [
        ['one', 'a', '/d', 3, 0.5],
        ['one', 'b', '/d', 3, 1],
        ['two', 'a', join('/d', 'fleets', 'two'), 3, 0.5],
      ],
    );
    assert.equal((await load({ dataDir: '/d', model: { id: 'a' } })).models.length, 1);
  });

  test('mistakes name the entry, the field and the value', async () => {
    const top = { dataDir: '/d' };
    await refused(
      { ...top, models: [{ model: { id: 'a' } }, { model: { id: 'a' } }] },
      /models\.1.*two models default\/a/,
    );
    await refused(
      { ...top, models: [{ model: { id: 'a' }, rounds: { quorum: 2 } }] },
      /models\.0\.rounds\.quorum is 2/,
    );
    await refused(
      { ...top, models: [{ model: { id: 'a' }, roundz: {} }] },
      /unknown field models\.0\.roundz|unknown field roundz/,
    );
    await refused({ ...top, models: [{ model: { id: 'a' }, broker: { url: 'mqtt://x' } }] }, /broker.*whole process/);
    await refused({ ...top, rounds: { quorum: 2 }, model: { id: 'a' } }, /cloud\.yaml: rounds\.quorum is 2/);
    await refused({ model: { id: 'a' } }, /dataDir/);
    await refused(top, /model/);
  });
});
