import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { describeSource, type SourceExample, type SourcePlace } from './conformance.js';
import { source as csv } from './kinds/csv.js';

const T0 = Date.UTC(2026, 0, 1);
const row = (step: number): string => `${new Date(T0 + 1000 * step).toISOString()},20.5,0.1,ok\n`;
const HEADER = 'time,temperature,vibration,state\n';

const recordings: SourceExample = {
  settings: ({ folder }) => ({ path: join(folder, '*.csv'), time: { column: 'time' }, label: 'state' }),
  refused: [
    [{}, /path/],
    [{ path: 'x.csv', follow: true }, /follow: true needs time\.column/],
  ],
  unknownChannel: ({ folder }) => ({ path: join(folder, '*.csv'), columns: { nowhere: 'x' } }),
  feed: ({ folder, step }) => {
    writeFileSync(join(folder, 'part'), HEADER + row(step));
    renameSync(join(folder, 'part'), join(folder, `${step}.csv`));
  },
  rubbish: ({ folder }) => writeFileSync(join(folder, 'rubbish.csv'), 'a;b\n"1;2\n'),
};
describeSource('csv', csv, recordings);

const log = ({ folder }: SourcePlace): string => join(folder, 'log.csv');
const append = (place: SourcePlace, text: string): void =>
  appendFileSync(log(place), (existsSync(log(place)) ? '' : HEADER) + text);
describeSource('csv', csv, {
  settings: (place) => ({ path: log(place), time: { column: 'time' }, label: 'state', follow: true }),
  feed: (place) => append(place, row(place.step)),
  rubbish: (place) => append(place, 'noon,x,y,z\n'),
  interrupt: (place) => renameSync(log(place), join(place.folder, 'rotated')),
});

describe('the conformance suite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-suite-'));
  after(() => rmSync(folder, { recursive: true }));
  const suite = new URL('../conformance.js', import.meta.url).href;
  /** The tests that a source of this body does not pass. */
  const failing = (name: string, body: string, example = 'feed: () => tick?.()'): string[] => {
    const file = join(folder, `${name}.mjs`);
    writeFileSync(
      file,
      `import { describeSource } from ${JSON.stringify(suite)};
       let tick;
       const record = { about: 'a source', make: (settings, { intake, channel }) => { ${body} } };
       describeSource('own', record, { waitMs: 600, settings: () => ({}), ${example} });`,
    );
    const { stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
      encoding: 'utf8',
      env: {},
    });
    const failed = [...stdout.matchAll(/^ +not ok \d+ - (.*)$/gm)].map((m) => m[1] ?? '');
    return failed.filter((f) => !/^(source own|.*\.mjs)$/.test(f));
  };
  const good = `return {
    async start() { tick = () => intake.reading(0, Date.now(), 1); },
    async stop() { tick = undefined; },
  };`;

  test('passes a source that does as it should', () => {
    assert.deepEqual(failing('good', good), []);
  });

  test('finds what breaks the contract, by the name of the test', () => {
    const reads = 'what it reads ends in readings, with times in ms';
    assert.ok(failing('seconds', good.replace('Date.now()', 'Date.now() / 1000')).includes(reads));
    assert.ok(failing('text', good.replace(', 1)', ", '1')")).includes(reads));
    assert.ok(failing('deaf', good.replace(/tick = \(\).*;/, '')).includes(reads));
    assert.deepEqual(failing('restless', good.replace('tick = undefined;', '')), ['nothing comes once it was stopped']);
    assert.ok(failing('shape', 'return {};').includes('one that was made and never started can be stopped'));
    const lenient = 'feed: () => tick?.(), unknownChannel: () => ({ channels: { nowhere: 1 } })';
    assert.deepEqual(failing('lenient', good, lenient), ['a channel that the stream lacks is refused by name']);
    const silent = 'feed: () => tick?.(), rubbish: () => {}';
    assert.deepEqual(failing('silent', good, silent), ['what it can not use is counted, and it goes on']);
  });
});
