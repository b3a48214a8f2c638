import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withFleet } from './harness.js';
import { stream } from './signals.js';

/** A source that says nonsense between readings, and a transform that fails in every way in turn. */
const HOSTILE = `
let tick = 0;
const source = {
  about: 'nonsense',
  make: (settings, { intake, channel }) => {
    const of = channel('vibration', 'channel');
    let timer;
    return {
      async start() {
        const start = Date.now() - 3600_000;
        timer = setInterval(() => {
          for (let i = 0; i < 50; i++, tick++) {
            const at = start + tick * 20;
            intake.label(at, 'ok');
            intake.reading(of, at, Math.sin(tick));
            intake.reading(1, at, 40);
            for (const odd of [undefined, null, '1', {}, NaN, 1e300, -1e300, Symbol('x')]) {
              intake.reading(of, odd, 1);
              intake.reading(odd, at, 1);
              if (typeof odd !== 'number') intake.reading(of, at, odd);
              intake.label(odd, 'ok');
              if (tick % 100 === 0) intake.label(start - 60_000, odd);
              intake.bad(odd, odd);
            }
          }
        }, 20);
      },
      async stop() {
        clearInterval(timer);
        throw new Error('it does not stop');
      },
    };
  },
};
const gives = [
  () => { throw new Error('a fault of its own'); },
  () => NaN,
  () => '3',
  async () => { throw new Error('nobody waits'); },
  () => [{ channel: 7, at: 1, value: 1 }],
  () => null,
];
const transform = {
  about: 'fails now and then',
  make: () => {
    let n = 0;
    return { reading: (channel, at, value) => (++n % 10 === 0 ? gives[(n / 10) % gives.length]() : value) };
  },
};
export const extension = { format: 1, sources: { nonsense: source }, transforms: { moody: transform } };
`;

test('nonsense of an extension is counted; the gateway goes on, stores what is sound, and ends as it should', () =>
  withFleet(1, async (fleet) => {
    await fleet.broker();
    mkdirSync(fleet.folder, { recursive: true });
    writeFileSync(join(fleet.folder, 'hostile.mjs'), HOSTILE);
    const gateway = await fleet.edge(0, {
      extensions: ['./hostile.mjs'],
      data: {
        stream: stream(),
        minSamples: 5,
        validationShare: 0.25,
        sources: [{ type: 'nonsense' }],
        transforms: [{ type: 'moody' }],
      },
    });
    await fleet.logged('edge-0', /there are enough samples to train on/);
    const log = (): string => readFileSync(join(fleet.folder, 'logs', 'edge-0.log'), 'utf8');
    for (const reason of ['noTime', 'noChannel', 'notANumber', 'unknownLabel', 'other', 'transform'])
      assert.match(log(), new RegExp(`"reason":"${reason}"`));
    assert.match(log(), /data\.transforms\.0 \(moody\): /);
    const ended = once(gateway.process, 'exit');
    gateway.process.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    assert.match(log(), /a source did not stop/);
    // Logged now and then, not each time.
    assert.ok(log().split('input that can not be used').length < 20);
  }));
