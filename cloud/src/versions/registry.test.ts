import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { updateArtifact } from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import { artifact } from '../inbox/exampleUpdates.test.js';
import { Registry } from './registry.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-registry-'));
after(() => rmSync(root, { recursive: true }));

const SOURCE = { from: 'mlp', batch: 4, optimizer: 'sgd' as const };

describe('registry', () => {
  test('versions form a chain that survives a restart, and damage is noticed', async () => {
    const folder = join(root, 'registry');
    const registry = await Registry.open(folder, SOURCE);
    const next = updateArtifact(
      artifact,
      artifact.weights.map((w) => w + 1),
    );
    await registry.add(artifact, { round: 0, createdAt: 1, metrics: {} });
    await registry.add(next, { round: 1, createdAt: 2, metrics: { accuracy: 0.5 } });
    const again = await Registry.open(folder, SOURCE);
    assert.deepEqual(
      again.versions.map((v) => [v.version, v.round, v.parent]),
      [
        [1, 0, null],
        [2, 1, artifact.sha256],
      ],
    );
    const head = again.head;
    assert.ok(head);
    assert.deepEqual((await again.load(head)).weights, next.weights);
    writeFileSync(join(folder, 'blobs', `${next.sha256}.blob`), 'garbage');
    await assert.rejects(again.load(head), /is damaged/);
  });
  test('a version on trial is not in force until it is promoted; a restore withdraws it and brings an old one back as new', async () => {
    const folder = join(root, 'trial');
    const registry = await Registry.open(folder, SOURCE);
    const moved = (by: number) =>
      updateArtifact(
        artifact,
        artifact.weights.map((w) => w + by),
      );
    const trial = { edges: ['a'], until: 9 };
    await registry.add(artifact, { round: 0, createdAt: 1, metrics: {} });
    await registry.add(moved(1), { round: 1, createdAt: 2, metrics: {}, canary: trial });
    assert.deepEqual([registry.head?.version, registry.canary?.version], [1, 2]);
    await registry.promote();
    assert.deepEqual([registry.head?.version, registry.canary], [2, undefined]);
    await registry.add(moved(2), { round: 2, createdAt: 3, metrics: {}, canary: trial });
    const back = await registry.restore(1, 4);
    const shown = (r: Registry) => r.versions.map((v) => [v.version, v.state, v.sha256.slice(0, 6), v.restores ?? 0]);
    const [first, second, third] = [artifact, moved(1), moved(2)].map((a) => a.sha256.slice(0, 6));
    const expected = [
      [1, 'current', first, 0],
      [2, 'current', second, 0],
      [3, 'withdrawn', third, 0],
      [4, 'current', first, 1],
    ];
    assert.deepEqual(shown(registry), expected);
    assert.deepEqual([back.parent, registry.head?.version], [moved(1).sha256, 4]);
    await registry.pin(4);
    const again = await Registry.open(folder, SOURCE);
    assert.deepEqual([shown(again), again.pinned], [expected, 4]);
    assert.deepEqual((await again.load(back)).weights, artifact.weights);
    // What an update may be based on: not what was rolled back, nor what never came into force.
    assert.deepEqual(
      [artifact, moved(1), moved(2)].map((a) => again.staleness(a.sha256)),
      [0, undefined, undefined],
    );
    await again.add(moved(3), { round: 3, createdAt: 5, metrics: {} });
    assert.equal(again.staleness(artifact.sha256), 1);
    await assert.rejects(again.restore(17, 5), ConfigError);
  });
  test('another architecture or batch in the settings is refused, and a damaged index is named', async () => {
    const folder = join(root, 'source');
    await (await Registry.open(folder, SOURCE)).add(artifact, { round: 0, createdAt: 1, metrics: {} });
    await assert.rejects(
      Registry.open(folder, { from: 'cnn-small', batch: 4, optimizer: 'sgd' }),
      (e) =>
        e instanceof ConfigError && /made from mlp with batch 4 and sgd; the settings say cnn-small/.test(e.message),
    );
    await assert.rejects(Registry.open(folder, { from: 'mlp', batch: 8, optimizer: 'sgd' }), ConfigError);
    writeFileSync(join(folder, 'index.json'), '{"format": 1, "vers');
    await assert.rejects(Registry.open(folder, SOURCE), /index\.json is damaged: restore it/);
  });
});
