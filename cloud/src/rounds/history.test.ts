import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { History, type RoundRecord } from './history.js';

const round = (n: number, accuracy: number): RoundRecord => ({
  at: 1000 * n,
  round: n,
  decision: 'fine-tuned',
  version: n + 1,
  participants: ['a', 'b'],
  accepted: ['a'],
  previous: 0.5,
  average: 0.6,
  fineTuned: accuracy,
  accuracy,
  attempts: [{ rung: 'aggregate', leftOut: [], average: 0.6, fineTuned: accuracy }],
  bytes: 100,
  float32Bytes: 4000,
  seconds: 1.5,
});

test('the history outlives a crash: torn lines are dropped, a round that is closed twice counts once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-history-'));
  const path = join(folder, 'rounds', 'm', 'history.jsonl');
  const first = await History.open(path);
  await first.closed(round(1, 0.7));
  await first.closed(round(2, 0.8));
  await first.received({
    at: 1,
    version: 3,
    outcome: 'published',
    hurt: ['b'],
    edges: [{ edge: 'b', before: 1, after: 0 }],
  });
  appendFileSync(path, '{"round":{"at":3000,"rou');
  const second = await History.open(path);
  assert.deepEqual([second.rounds, second.receptions], [first.rounds, first.receptions]);
  await second.closed(round(2, 0.9));
  appendFileSync(path, '{"round":{"at":"yesterday"}}\n\n\0\0\0');
  const third = await History.open(path);
  assert.deepEqual(third.rounds, [round(1, 0.7), round(2, 0.9)]);
  assert.equal(readFileSync(path, 'utf8').trimEnd().split('\n').length, 4, 'what is damaged is gone from the file');
  rmSync(folder, { recursive: true });
});
