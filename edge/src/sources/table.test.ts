import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { streamSchema } from '@ecavg/models';
import { brokerSchema, ConfigError, createLogger, RecordTable } from '@ecavg/runtime';
import { z } from 'zod';
import type { SourceRecord } from './source.js';
import { makeSource, readBy, SOURCES, sourceRecordShape, sourceSchema } from './table.js';
import { typedSettings } from './typedSettings.js';

const stream = streamSchema.parse({ channels: [{ name: 'temp' }], rateHz: 10, window: 4 });
const intake = { reading() {}, gone() {}, label() {}, bad() {} };
const means = {
  stream,
  intake,
  recordings: { recording: async () => 0 },
  log: createLogger('test', { level: 'silent', format: 'json' }),
  field: 'data.sources.3',
  stateFile: '/nowhere',
  broker: brokerSchema.parse({}),
  login: {},
  clientId: 'c',
};

/** What is wrong with settings: where, and why. */
const faults = (settings: unknown): string[] =>
  sourceSchema.safeParse(settings).error?.issues.map((i) => `${i.path.join('.')}: ${i.message}`) ?? [];

describe('the table of sources', () => {
  test('has every file of kinds/', () => {
    const script = fileURLToPath(new URL('../../../scripts/sourceKinds.mjs', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.deepEqual(SOURCES.names, ['csv', 'mqtt-json', 'sparkplug-b']);
  });

  test('settings are checked by the schema of their source: place and fault as it says them', () => {
    const csv = { type: 'csv', path: 'a.csv' };
    assert.deepEqual(faults(csv), []);
    assert.deepEqual(sourceSchema.parse(csv), {
      ...csv,
      watch: true,
      follow: false,
      delimiter: ',',
      decimal: '.',
      columns: {},
    });
    assert.deepEqual(faults({ type: 'nope' }), [
      'type: there is no such source; there are csv, mqtt-json, sparkplug-b',
    ]);
    assert.deepEqual(faults({}), ['type: say which source; there are csv, mqtt-json, sparkplug-b']);
    assert.deepEqual(faults({ type: 'csv' }), ['path: Invalid input: expected string, received undefined']);
    assert.deepEqual(faults({ ...csv, time: { format: 's' } }), [
      'time.column: Invalid input: expected string, received undefined',
    ]);
    const [unknown] = sourceSchema.safeParse({ ...csv, colour: 1 }).error?.issues ?? [];
    assert.deepEqual(unknown?.code === 'unrecognized_keys' && unknown.keys, ['colour']);
    assert.match(faults('csv')[0] ?? '', /expected object/);
  });

  test('a schema without Zod, and one that breaks', () => {
    const table = new RecordTable<SourceRecord>('source', {}, sourceRecordShape);
    const record = (parse: (given: unknown) => object): SourceRecord => ({
      about: 'x',
      schema: { parse },
      make: () => ({ async start() {}, async stop() {} }),
    });
    const own = (name: string, parse: (given: unknown) => object): string => {
      table.add(name, record(parse));
      const { data, error } = typedSettings(table).safeParse({ type: name, a: 1 });
      return data ? JSON.stringify(data) : (error?.issues[0]?.message ?? '');
    };
    assert.equal(
      own('good', (given) => ({ ...(given as object), b: 2 })),
      '{"type":"good","a":1,"b":2}',
    );
    const throws = (what: unknown) => (): never => {
      throw what;
    };
    assert.equal(own('says', throws(new Error('a: is 1'))), 'a: is 1');
    for (const [i, what] of ['no', undefined, { issues: [] }].entries())
      assert.equal(own(`odd-${i}`, throws(what)), 'its schema threw what is no Error');
    assert.equal(
      own('gives', () => 3 as unknown as object),
      'the schema of source gives gives no settings',
    );
    assert.match(own('zod', z.object({ a: z.string() }).parse), /expected string, received number/);
  });

  test('a source that can not be made is refused with its place', () => {
    const table = new RecordTable<SourceRecord>('source', {}, sourceRecordShape);
    const make = (name: string, made: SourceRecord['make']): void => {
      table.add(name, { about: 'x', make: made });
      makeSource({ type: name }, means, table);
    };
    const refused = (body: () => void, message: RegExp): void =>
      assert.throws(body, (error) => error instanceof ConfigError && message.test(error.message));
    const thrown = (what: unknown) => (): never => {
      throw what;
    };
    refused(() => make('a', thrown(new Error('no port'))), /^data\.sources\.3 \(a\) can't be made: no port$/);
    refused(() => make('b', thrown(1)), /^data\.sources\.3 \(b\) can't be made: it threw what is no Error$/);
    refused(() => make('c', () => ({ start: async () => {} }) as never), /what source c makes has no stop/);
    refused(() => make('d', () => undefined as never), /what source d makes has no start/);
    refused(
      () => make('e', (_, { channel }) => thrown(channel('heat', 'of'))()),
      /^data\.sources\.3\.of: data\.stream has no channel heat; it has temp$/,
    );
  });

  test('what a service must let sources read', () => {
    const settings = [
      { type: 'csv', path: '/data/in/*.csv' },
      { type: 'mqtt-json', topic: 'a', channels: { temp: '$.t' } },
    ].map((s) => sourceSchema.parse(s));
    assert.deepEqual(readBy(settings), ['/data/in']);
  });
});
