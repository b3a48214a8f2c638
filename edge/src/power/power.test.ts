import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ModelError } from '@ecavg/models';
import { createLogger } from '@ecavg/runtime';
import { powerSchema } from './config.js';
import { type Clock, Governor } from './governor.js';
import { untilAllowed } from './hours.js';
import { onBattery, temperature } from './system.js';

const sysfs = mkdtempSync(join(tmpdir(), 'ecavg-sysfs-'));
after(() => rmSync(sysfs, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });
const never = new AbortController().signal;

function put(path: string, text: string): void {
  mkdirSync(join(sysfs, path, '..'), { recursive: true });
  writeFileSync(join(sysfs, path), `${text}\n`);
}

const governor = (more: Record<string, unknown>): Governor =>
  new Governor(powerSchema.parse({ sysfs, ...more }), { dataDir: sysfs, log, lookMs: 5 });

test('spans of the day, also over midnight', () => {
  const at = (clock: string): Date => new Date(`2026-11-25T${clock}`);
  const wait = (clock: string, ...spans: string[]): number => untilAllowed(spans, at(clock)) / 60_000;
  assert.equal(wait('12:00:00'), 0);
  assert.equal(wait('12:00:00', '11:00-13:00'), 0);
  assert.equal(wait('13:00:00', '11:00-13:00'), 22 * 60);
  assert.equal(wait('23:30:00', '22:00-06:00'), 0);
  assert.equal(wait('05:59:59', '22:00-06:00'), 0);
  assert.equal(wait('06:00:30', '22:00-06:00', '06:30-07:00'), 29.5);
  for (const span of ['24:00-01:00', '1:00-2:00', '05:00-05:00'])
    assert.equal(powerSchema.safeParse({ hours: [span] }).success, false, span);
});

describe('what the system tells', () => {
  test('the hottest zone, mains before battery, and nothing where there is nothing', async () => {
    assert.equal(await temperature(join(sysfs, 'none')), undefined);
    assert.equal(await onBattery(join(sysfs, 'none')), undefined);
    put('class/thermal/thermal_zone0/temp', '41500');
    put('class/thermal/thermal_zone1/temp', '63000');
    put('class/thermal/cooling_device0/temp', '99000');
    assert.equal(await temperature(sysfs), 63);
    put('class/power_supply/BAT0/type', 'Battery');
    put('class/power_supply/BAT0/status', 'Discharging');
    assert.equal(await onBattery(sysfs), true);
    put('class/power_supply/AC/type', 'Mains');
    put('class/power_supply/AC/online', '1');
    assert.equal(await onBattery(sysfs), false);
    put('class/power_supply/AC/online', '0');
    assert.equal(await onBattery(sysfs), true);
  });

  test('training waits while it is hot or on battery, and goes on when that is over', async () => {
    put('class/thermal/thermal_zone1/temp', '90000');
    put('class/power_supply/AC/online', '0');
    const g = governor({ pauseAboveCelsius: 80, pauseOnBattery: true });
    let begun = false;
    const begin = g.begin(never).then(() => {
      begun = true;
    });
    const until = async (what: string | undefined): Promise<void> => {
      while (g.paused !== what) await new Promise((done) => setImmediate(done));
    };
    await until('hot');
    put('class/thermal/thermal_zone1/temp', '78000');
    // Not three degrees cooler yet.
    await new Promise((done) => setTimeout(done, 30));
    assert.equal(g.paused, 'hot');
    put('class/thermal/thermal_zone1/temp', '70000');
    await until('battery');
    assert.equal(begun, false);
    put('class/power_supply/AC/online', '1');
    await begin;
    assert.equal(g.paused, undefined);
  });

  test('waiting ends with the round', async () => {
    put('class/thermal/thermal_zone1/temp', '90000');
    const round = new AbortController();
    const begin = governor({ pauseAboveCelsius: 80 }).begin(round.signal);
    round.abort(new Error('over'));
    await assert.rejects(begin);
  });
});

test('the duty cycle: at a quarter, four times as long', async () => {
  const g = governor({ dutyCycle: 0.25 });
  await g.begin(never);
  const started = performance.now();
  // CPU time, as the duty cycle counts it: on a machine with other loads, a step takes longer than it works.
  const cpuMs = (): number => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000;
  const before = cpuMs();
  let worked = 0;
  while (worked < 100) {
    const step = performance.now();
    while (performance.now() - step < 5);
    worked = cpuMs() - before;
    await g.step(never);
  }
  // Other loads make it less.
  const share = worked / (performance.now() - started);
  assert.ok(share < 0.33, String(share));
});

test('the duty cycle to the millisecond, alone on a core and where others take half of it', async () => {
  for (const wallPerCpu of [1, 2]) {
    const time = { cpuMs: 0, atMs: 0 };
    let slept = 0;
    const clock: Clock = {
      read: () => ({ ...time }),
      async sleep(ms) {
        slept += ms;
        time.atMs += ms;
      },
    };
    const g = new Governor(powerSchema.parse({ sysfs, dutyCycle: 0.25 }), { dataDir: sysfs, log, clock });
    await g.begin(never);
    for (let step = 0; step < 200; step++) {
      time.cpuMs += 5;
      time.atMs += 5 * wallPerCpu;
      await g.step(never);
    }
    // The last nap may still be owed.
    assert.ok(Math.abs(time.atMs - 4 * time.cpuMs) <= 20, `${time.cpuMs} ms of work in ${time.atMs} ms`);
    assert.ok(Math.abs(slept - (4 - wallPerCpu) * time.cpuMs) <= 20, `slept ${slept} ms`);
  }
});

test('at the memory ceiling training ends', async () => {
  const g = governor({ maxMemoryMegabytes: 1 });
  await g.begin(never);
  await new Promise((done) => setTimeout(done, 10));
  await assert.rejects(g.step(never), ModelError);
});

test('the disk has room, or not', () => {
  assert.equal(governor({}).hasRoom, true);
  assert.equal(governor({ minFreeMegabytes: 1e12 }).hasRoom, false);
});
