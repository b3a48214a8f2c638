import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ECAVG } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-extensions-'));
after(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};
const settings = (extension: string, more = ''): Record<'cloud' | 'edge', string> => {
  const text = `dataDir: ${folder}/data\nextensions: [${extension}]\n${more}`;
  return {
    cloud: write('cloud.yaml', `${text}model: { id: m }\n`),
    edge: write('edge.yaml', `${text}edge: e\nmodel: m\n`),
  };
};
const ecavg = (...args: string[]) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [ECAVG, ...args], { encoding: 'utf8' });
  return { status, stderr, stdout };
};
/** The one sentence that a command ends with. */
const refused = (...args: string[]): string => {
  const { status, stderr } = ecavg(...args);
  assert.equal(status, 2, `${args.join(' ')}: ${status} ${stderr}`);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  return stderr;
};

describe('a wrong extension is one sentence and exit code 2', () => {
  test('in every command that reads the settings', () => {
    const { cloud, edge } = settings('./none.mjs');
    for (const args of [
      ['cloud', '--config', cloud],
      ['cloud', '--config', cloud, '--print-config'],
      ['cloud', 'history', '--config', cloud],
      ['report', '--config', cloud],
      ['edge', '--config', edge],
      ['edge', '--config', edge, '--print-config'],
      ['edge', 'status', '--config', edge],
    ])
      assert.match(refused(...args), /extension \.\/none\.mjs: there is no file .*none\.mjs/, args.join(' '));
  });

  test('whatever is wrong with it', () => {
    const parts = "about: 'x', source: 'x', options: {}, least: () => 1";
    const cases: [string, RegExp][] = [
      ['export const = 1;', /can't be loaded: SyntaxError/],
      ["throw new Error('not today');", /can't be loaded: Error: not today/],
      ['export default { format: 1 };', /exports no "extension", but has a default export/],
      ['export const extension = { format: 9 };', /is of format 9; this release takes format 1/],
      ['export const extension = { format: 1, mergers: {} };', /no kind of record "mergers"; there are combiners,/],
      [
        `export const extension = { format: 1, combiners: { mean: { ${parts}, kind: 'streaming', coefficients() {} } } };`,
        /combiner "mean": the name is taken/,
      ],
      [
        `export const extension = { format: 1, combiners: { mine: { ${parts}, kind: 'streaming' } } };`,
        /combiner "mine"\.coefficients: must be a function/,
      ],
      [`export const extension = { format: 1, combiners: { mine: { ${parts} } } };`, /combiner "mine"\.kind: /],
      [
        "export const extension = { format: 1, weightings: { mine: { about: 'x', source: '', options: {} } } };",
        /weighting "mine": gives neither shares nor a factor nor scales/,
      ],
    ];
    for (const [text, message] of cases) {
      write('bad.mjs', text);
      assert.match(refused('cloud', '--config', settings('./bad.mjs').cloud, '--print-config'), message, text);
    }
  });
});

test('a wrong source or transform likewise', () => {
  const shape: [string, RegExp][] = [
    ['sources: { csv: { about: "x", make() {} } }', /source "csv": the name is taken/],
    ['sources: { Mine: { about: "x", make() {} } }', /source "Mine": use small letters, digits and "-"/],
    ['sources: { mine: { make() {} } }', /source "mine"\.about: /],
    ['sources: { mine: { about: "x" } }', /source "mine"\.make: expected a function/],
    ['sources: { mine: { about: "x", make() {}, schema: {} } }', /source "mine"\.schema\.parse: expected a function/],
    ['transforms: { scale: { about: "x", make() {} } }', /transform "scale": the name is taken/],
    ['transforms: { mine: 3 }', /transform "mine": /],
  ];
  for (const [text, message] of shape) {
    write('bad.mjs', `export const extension = { format: 1, ${text} };`);
    assert.match(refused('edge', '--config', settings('./bad.mjs').edge, '--print-config'), message, text);
  }
  write('own.mjs', 'export const extension = { format: 1, sources: { mine: { about: "x", make() {} } } };');
  const stream = 'stream: { channels: [{ name: a }], rateHz: 10, window: 4 }';
  const { edge } = settings('./own.mjs', `data: { ${stream}, sources: [{ type: mine }] }\n`);
  const { status, stderr } = ecavg('edge', '--config', edge);
  assert.equal(status, 2, stderr);
  assert.match(stderr, /data\.sources\.0: what source mine makes has no start/);
});

test('the transform of docs/extensions.md does what it says', () => {
  const docs = readFileSync(new URL('../../docs/extensions.md', import.meta.url), 'utf8');
  const [, text] = /```js\n(\/\/ fahrenheit\.mjs[\s\S]*?)```/.exec(docs) ?? [];
  assert.ok(text);
  write('fahrenheit.mjs', text);
  const suite = new URL('../../edge/dist/conformance.js', import.meta.url).href;
  const file = write(
    'fahrenheit.test.mjs',
    `import { describeTransform } from ${JSON.stringify(suite)};
    import { extension } from './fahrenheit.mjs';
    describeTransform('fahrenheit', extension.transforms.fahrenheit, {
      settings: { channels: ['temperature'] },
      unknownChannel: { channels: ['nowhere'] },
      cases: [{ in: [{ channel: 0, at: 1, value: 212 }, { channel: 1, at: 2, value: 212 }],
        out: [{ channel: 0, at: 1, value: 100 }, { channel: 1, at: 2, value: 212 }] }],
    });`,
  );
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, ['--test', file], { encoding: 'utf8', env });
  assert.equal(status, 0, stdout);
});

test('options of an extension’s combiner are checked as all settings are, also with several models', () => {
  write(
    'own.mjs',
    `export const extension = { format: 1, combiners: { own: {
      kind: 'streaming', about: 'x', source: 'x', options: { keep: { about: 'x', default: 0.5, above: 0, most: 1 } },
      least: ({ keep }) => Math.ceil(1 / keep), coefficients: ({ weights }) => weights } } };`,
  );
  const more = (options: string): string =>
    `strategy: { combiner: own, combinerOptions: { ${options} } }\nmodels: [{ model: { id: a } }, { model: { id: b }, strategy: { combiner: median } }]\n`;
  const print = (options: string): string[] => [
    'cloud',
    '--config',
    settings('./own.mjs', more(options)).cloud,
    '--print-config',
  ];
  const { status, stdout } = ecavg(...print('keep: 0.25'));
  assert.equal(status, 0);
  assert.match(stdout, /combiner: own\n\s+combinerOptions:\n\s+keep: 0\.25/);
  const wrong = ecavg(...print('keep: 2'));
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /strategy\.combinerOptions\.keep is 2: .*<=1/);
  const unknown = ecavg(...print('kep: 0.5'));
  assert.equal(unknown.status, 2);
  assert.match(unknown.stderr, /unknown field strategy\.combinerOptions\.kep/);
  const twice = ecavg(
    'cloud',
    '--config',
    settings('./own.mjs', 'models: [{ model: { id: a }, extensions: [./own.mjs] }]\n').cloud,
    '--print-config',
  );
  assert.match(twice.stderr, /models\.0\.extensions.*is one for the whole process/);
});
