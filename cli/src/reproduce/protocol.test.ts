import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { loadMnist, subset } from '@ecavg/models';
import { Lab } from './lab.js';
import { dealSamples, runProtocol } from './protocol.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-reproduce-'));
after(() => rmSync(folder, { recursive: true }));

const data = loadMnist();
/** Digits lie in the order of their classes. */
const mixed = Int32Array.from({ length: data.length }, (_, i) => (i * 7919) % data.length);
const settings = {
  model: 'mlp',
  edges: 2,
  split: 'iid' as const,
  localEpochs: 8,
  serverEpochs: 1,
  learningRate: 0.05,
  serverLearningRate: 0.01,
  seed: 3,
};

describe('the paper’s protocol', () => {
  test('deals every sample to one edge; skew gives an edge its own classes', () => {
    for (const split of ['iid', 'skew'] as const) {
      const parts = dealSamples(data, mixed.slice(0, 2000), { ...settings, split });
      assert.equal(new Set(parts.flatMap((p) => [...p])).size, 2000);
      const low = parts.map((p) => p.filter((i) => (data.labels[i] as number) < 5).length / p.length);
      if (split === 'skew') assert.ok((low[0] as number) > 0.85 && (low[1] as number) < 0.15, low.join());
      else
        assert.ok(
          low.every((l) => Math.abs(l - 0.5) < 0.06),
          low.join(),
        );
    }
  });

  test('plain averaging of different starts does harm; matched and common start do not; a second run takes all up', async () => {
    const train = subset(data, mixed.slice(0, 4000));
    const held = subset(data, mixed.slice(4000, 6000));
    const said: string[] = [];
    const open = () => Lab.open('mlp', train, { folder, batch: 32, threads: 1, say: (l) => said.push(l) });
    const lab = await open();
    const { rows, chosen } = await runProtocol(lab, train, held, settings);
    await lab.release();
    const [plain, matched, common, ours] = rows as [Row, Row, Row, Row];
    const worst = Math.min(...plain.edgesBefore);
    assert.ok(plain.average < worst - 0.01, `plain ${plain.average}, edges ${plain.edgesBefore}`);
    assert.ok(matched.average > plain.average + 0.01);
    assert.ok(common.average > worst - 0.01 && ours.average > worst - 0.01);
    assert.ok(ours.bytesUp * 10 < plain.bytesUp);
    assert.ok(chosen.accuracy >= Math.max(...plain.edgesBefore) - 0.005, 'the guard’s choice harms nobody');
    const files = readdirSync(folder).sort();
    assert.ok(files.length > 0 && files.every((f) => f.endsWith('.weights')));
    said.length = 0;
    const again = await open();
    assert.deepEqual((await runProtocol(again, train, held, settings)).rows, rows);
    await again.release();
    assert.ok(said.length > 0 && said.every((l) => l.endsWith('taken from an earlier run')));
  });
});

type Row = Awaited<ReturnType<typeof runProtocol>>['rows'][number];
