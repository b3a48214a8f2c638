import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimate, type PlanOptions } from './estimate.js';

const base: PlanOptions = {
  gateways: 10,
  parameters: 100_000,
  preset: 'balanced',
  difference: 'fine',
  roundsPerDay: 24,
  share: 1,
  trainSeconds: 30,
  watts: 5,
  pricePerGb: 2,
  pricePerKwh: 0.25,
};

test('by hand: 10 gateways, 24 rounds a day, 100,000 parameters', () => {
  const p = estimate(base);
  assert.equal(p.rounds, 720);
  assert.ok(Math.abs(p.updateBytes - 400_000 / 33.9) < 1e-6);
  // 11,799 bytes in 9 packets of one chunk, and half of a round's messages.
  const up = 400_000 / 33.9 + 344 + 9 * 40 + 2000;
  assert.ok(Math.abs(p.upBytes - 720 * up) < 1, String(p.upBytes / 720 - up));
  // 30 W seconds x 5 x 720 rounds x 10 gateways.
  assert.ok(Math.abs(p.kilowattHours - 0.3) < 1e-9);
  assert.ok(Math.abs(p.total - ((p.fleetBytes / 1e9) * 2 + 0.3 * 0.25)) < 1e-9);
  assert.ok(Math.abs(p.idleBytes - 86_400 * 84) < 1);
});

test('more of anything costs more; a smaller preset less, and all less than float32', () => {
  const p = estimate(base);
  for (const more of [
    { gateways: 20 },
    { parameters: 200_000 },
    { roundsPerDay: 48 },
    { watts: 10 },
    { pricePerGb: 3 },
  ])
    assert.ok(estimate({ ...base, ...more }).total > p.total, JSON.stringify(more));
  for (const less of [{ preset: 'tight' }, { share: 0.5 }, { difference: 'tight' }] as const)
    assert.ok(estimate({ ...base, ...less }).fleetBytes < p.fleetBytes, JSON.stringify(less));
  assert.ok(p.fleetBytes < p.float32Bytes / 5);
});
