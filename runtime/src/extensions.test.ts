import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { loadConfig } from './config.js';
import { ConfigError } from './errors.js';
import { extensionsSchema, loadExtensions } from './extensions.js';
import { type OptionSpecs, optionDefaults, optionFields, optionSpecsSchema, optionText } from './options.js';
import { RecordTable } from './records.js';

interface Shape {
  readonly sides: number;
  area?(): number;
}

const folder = mkdtempSync(join(tmpdir(), 'ecavg-extensions-'));
after(() => rmSync(folder, { recursive: true }));
const settings = join(folder, 'cloud.yaml');
const write = (path: string, text: string): string => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
  return path;
};
const table = (): RecordTable<Shape> =>
  new RecordTable<Shape>('combiner', { triangle: { sides: 3 } }, z.looseObject({ sides: z.int().min(3) }));
let count = 0;
/** Loads a module of this text beside the settings, and gives the names that are known afterwards. */
const load = async (text: string): Promise<string[]> => {
  const combiners = table();
  count++;
  await loadExtensions({ extensions: [`./${write(`m${count}.mjs`, text)}`] }, settings, { combiners });
  return combiners.names;
};
/** The one sentence that a module or its name is refused with. */
const refused = async (act: () => Promise<unknown>): Promise<string> => {
  try {
    await act();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    return error.message;
  }
  return assert.fail('no error');
};
const named = (name: string) => () => loadExtensions({ extensions: [name] }, settings, { combiners: table() });

describe('extensions', () => {
  test('a path from the settings file, and a package that is installed beside them', async () => {
    assert.deepEqual(await load('export const extension = { format: 1, combiners: { square: { sides: 4 } } };'), [
      'triangle',
      'square',
    ]);
    const text = (name: string): string =>
      `export const extension = { format: 1, combiners: { ${name}: { sides: 5 } } };`;
    write('node_modules/plain/package.json', '{ "name": "plain", "type": "module", "main": "it.js" }');
    write('node_modules/plain/it.js', text('plain'));
    write(
      'node_modules/@own/modern/package.json',
      '{ "type": "module", "exports": { "./more": { "types": "./it.d.ts", "import": "./it.js" } } }',
    );
    write('node_modules/@own/modern/it.js', text('modern'));
    const combiners = table();
    await loadExtensions({ extensions: ['plain', '@own/modern/more'] }, settings, { combiners });
    assert.deepEqual(combiners.names, ['triangle', 'plain', 'modern']);
    assert.equal(combiners.get('modern').sides, 5);
  });

  test('the record stays the object that the module made, also when it is loaded again', async () => {
    const name = `./${write('class.mjs', 'class Square { sides = 4; area() { return this.sides; } }; const square = new Square(); export const extension = { format: 1, combiners: { square } };')}`;
    const combiners = table();
    for (let i = 0; i < 2; i++) await loadExtensions({ extensions: [name] }, settings, { combiners });
    assert.equal(combiners.get('square').area?.(), 4);
  });

  test('what is for the other daemon is left to it', async () => {
    assert.deepEqual(await load('export const extension = { format: 1, sources: { mine: 1 } };'), ['triangle']);
  });

  test('what can not be loaded: one sentence each', async () => {
    assert.match(await refused(named('./none.mjs')), /^extension \.\/none\.mjs: there is no file .*none\.mjs; paths/);
    mkdirSync(join(folder, 'sub'));
    assert.match(await refused(named('./sub')), /is a folder/);
    assert.match(await refused(named('nowhere')), /^extension nowhere: no package nowhere is installed in .* or above/);
    assert.match(await refused(named('plain/other')), /^extension plain\/other: it can't be loaded: .*other/);
    assert.match(await refused(() => load('const = ;')), /SyntaxError: .*; node --check says where$/);
    assert.match(await refused(() => load("throw new TypeError('no\\nway');")), /it can't be loaded: TypeError: no$/);
    assert.match(await refused(() => load('throw null;')), /it can't be loaded: null$/);
    assert.match(await refused(() => load("import 'never-heard-of';")), /Cannot find package 'never-heard-of'/);
  });

  test('modules of another shape: one sentence each', async () => {
    const extension = (text: string) => refused(() => load(`export const extension = ${text};`));
    assert.match(await refused(() => load('export const x = 1;')), /it exports no "extension"$/);
    assert.match(
      await refused(() => load('export default { format: 1 };')),
      /exports no "extension", but has a default export/,
    );
    assert.match(await extension('7'), /its "extension" is no object/);
    assert.match(await extension('{}'), /it says no format; this release takes format 1/);
    assert.match(await extension('{ format: 2 }'), /it is of format 2; this release takes format 1/);
    assert.match(await extension('{ format: 1, combiner: {} }'), /no kind of record "combiner"; there are combiners, /);
    assert.match(await extension('{ format: 1, combiners: [1] }'), /its combiners are no object of records by name/);
    assert.match(await extension('{ format: 1, combiners: { Square: {} } }'), /combiner "Square": use small letters/);
    assert.match(
      await extension('{ format: 1, combiners: { triangle: { sides: 3 } } }'),
      /combiner "triangle": the name is taken/,
    );
    assert.match(await extension('{ format: 1, combiners: { two: { sides: 2 } } }'), /combiner "two"\.sides: .*>=3/);
    assert.match(await extension('{ format: 1, combiners: { no: null } }'), /combiner "no": .*expected object/);
  });

  test('settings may name what an extension brings, and nothing else', async () => {
    const combiners = table();
    const schema = z.strictObject({ extensions: extensionsSchema, combiner: combiners.schema });
    write('own.mjs', 'export const extension = { format: 1, combiners: { own: { sides: 9 } } };');
    const read = (text: string) => {
      write('cloud.yaml', text);
      return loadConfig(schema, { file: settings, extensions: { combiners } });
    };
    assert.match(
      await refused(() => read('combiner: own')),
      /combiner is "own": there is no such combiner; there are triangle$/,
    );
    assert.equal((await read('extensions: [./own.mjs]\ncombiner: own')).combiner, 'own');
    assert.match(await refused(() => read('extensions: ./own.mjs\ncombiner: own')), /extensions is .*expected array/);
  });
});

describe('options of a record', () => {
  const specs = {
    trim: { about: 'x', default: 0.2, least: 0, below: 0.5 },
    hostile: { about: 'x', default: 1, least: 0, whole: true },
    strict: { about: 'x', default: false },
    mode: { about: 'x', default: 'fast', oneOf: ['fast', 'slow'] },
  } as const satisfies OptionSpecs;

  test('make a schema with defaults and bounds', () => {
    const schema = z.strictObject(optionFields(specs));
    assert.deepEqual(schema.parse({}), optionDefaults(specs));
    assert.deepEqual(schema.parse({ trim: 0, mode: 'slow' }), { trim: 0, hostile: 1, strict: false, mode: 'slow' });
    for (const bad of [{ trim: 0.5 }, { trim: -1 }, { hostile: 1.5 }, { strict: 1 }, { mode: 'x' }, { other: 1 }])
      assert.equal(schema.safeParse(bad).success, false, JSON.stringify(bad));
    assert.equal(optionText('trim', specs.trim), '`trim` (0.2; from 0 to below 0.5)');
    assert.equal(optionText('mode', specs.mode), '`mode` (fast; fast, slow)');
  });

  test('are checked themselves, with their defaults', () => {
    assert.equal(optionSpecsSchema.safeParse(specs).success, true);
    for (const bad of [
      { a: { default: 1 } },
      { a: { about: 'x' } },
      { a: { about: 'x', default: 1, least: 2 } },
      { a: { about: 'x', default: 'b', oneOf: ['c'] } },
      { 'a-b': { about: 'x', default: 1 } },
    ])
      assert.equal(optionSpecsSchema.safeParse(bad).success, false, JSON.stringify(bad));
  });
});
