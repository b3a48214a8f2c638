import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Random } from '@ecavg/models';
import { DriftMonitor, driftSchema, PageHinkley, stabilityIndex } from './drift.js';

describe('drift', () => {
  const { pageHinkley } = driftSchema.parse({});

  test('Page-Hinkley: hardly ever a false alarm, and a shift of one deviation is found within 200 windows', () => {
    let alarms = 0;
    const delays: number[] = [];
    for (let seed = 0; seed < 20; seed++) {
      const random = new Random(seed, 'ph');
      const calm = new PageHinkley(pageHinkley);
      for (let i = 0; i < 20_000; i++) if (calm.add(random.normal())) alarms++;
      const shifted = new PageHinkley(pageHinkley);
      for (let i = 0; i < 1000; i++) shifted.add(random.normal());
      let delay = 0;
      while (!shifted.add(random.normal() + (seed % 2 ? 1 : -1))) delay++;
      delays.push(delay);
    }
    assert.equal(alarms, 0);
    assert.ok(Math.max(...delays) < 200, delays.join());
  });

  test('stability index: by hand, and 0 for the same values', () => {
    const normal = Array.from({ length: 1000 }, (_, i) => i);
    assert.ok(Math.abs(stabilityIndex(normal, normal)) < 1e-9);
    // All values in the last of ten bins: p = 100.5 / 1005 each, q = 0.5 / 1005, and 1000.5 / 1005 in the last.
    const expected =
      9 * (0.1 - 0.5 / 1005) * Math.log(0.1 / (0.5 / 1005)) + (0.1 - 1000.5 / 1005) * Math.log(0.1 / (1000.5 / 1005));
    assert.ok(Math.abs(stabilityIndex(normal, Array(1000).fill(999)) - expected) < 1e-9);
  });

  test('a wider spread with the same mean is found by the stability index; what is normal is then learnt anew', () => {
    const config = driftSchema.parse({ windows: 300 });
    const random = new Random(1, 'psi');
    const monitor = new DriftMonitor(config);
    for (let i = 0; i < 2000; i++) assert.equal(monitor.add('a', random.normal()), undefined);
    assert.ok((monitor.psi('a') ?? 1) < config.psiWarning);
    const restarted = new DriftMonitor(config, monitor.known);
    let found: ReturnType<DriftMonitor['add']>;
    let n = 0;
    while (!found && n++ < 400) found = restarted.add('a', 3 * random.normal());
    assert.deepEqual(found, { what: 'a', test: 'psi' });
    assert.deepEqual(restarted.known, {});
    for (let i = 0; i < 1000; i++) assert.equal(restarted.add('a', 3 * random.normal()), undefined);
  });
});
