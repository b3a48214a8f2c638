import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError, loadConfig } from '@ecavg/runtime';
import { cloudFileSchema } from './cloudFile.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-cloud-file-'));
after(() => rmSync(root, { recursive: true }));

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
