import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { grafanaFiles } from './files.js';

const folder = fileURLToPath(new URL('../grafana/', import.meta.url));

test('the files of deploy/grafana are those that the source makes', () => {
  const files = grafanaFiles();
  for (const [path, text] of files)
    assert.equal(readFileSync(join(folder, path), 'utf8'), text, `${path}: npm run generate:grafana`);
  const there = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  assert.equal(there.length, files.size);
});

test('panels have names of their own and lie side by side; queries name the data source by the variable', () => {
  for (const [path, text] of grafanaFiles()) {
    if (!path.startsWith('dashboards/')) continue;
    const { panels, uid } = JSON.parse(text) as {
      panels: {
        id: number;
        title: string;
        gridPos: { x: number; w: number };
        targets?: { datasource: { uid: string } }[];
      }[];
      uid: string;
    };
    assert.equal(path, `dashboards/${uid}.json`);
    const titles = panels.map((p) => p.title);
    assert.equal(new Set(titles).size, titles.length, path);
    for (const { gridPos, targets = [] } of panels) {
      assert.ok(gridPos.x + gridPos.w <= 24);
      for (const t of targets) assert.equal(t.datasource.uid, '$datasource');
    }
  }
});

test('alert rules: a condition that is there, $ escaped from Grafana’s environment', () => {
  const text = grafanaFiles().get('provisioning/alerting/ecavg.yaml') ?? '';
  const { groups } = parse(text) as {
    groups: { rules: { uid: string; condition: string; data: { refId: string; model: { query?: string } }[] }[] }[];
  };
  const rules = groups[0]?.rules ?? [];
  assert.equal(rules.length, 6);
  for (const { condition, data } of rules) {
    assert.ok(data.some((d) => d.refId === condition));
    assert.match(data[0]?.model.query ?? '', /\$\$timeFilter/);
  }
});
