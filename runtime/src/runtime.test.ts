import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { loadConfig, printConfig } from './config.js';
import { ConfigError } from './errors.js';
import { listFolder, readIfThere, writeDurable } from './files.js';
import { brokerSchema } from './mqtt.js';
import { SerialQueue } from './queue.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-runtime-'));
after(() => rmSync(folder, { recursive: true }));
const file = (text: string): string => {
  const path = join(folder, 'config.yaml');
  writeFileSync(path, text);
  return path;
};

const schema = z.strictObject({
  name: z.string(),
  broker: z.strictObject({ url: z.string().default('mqtt://x'), retries: z.int().default(3) }).prefault({}),
  password: z.string().optional(),
  list: z.array(z.number()).default([]),
});
const load = (text: string, variables: NodeJS.ProcessEnv = {}) =>
  loadConfig(schema, { file: file(text), env: { prefix: 'T_', variables } });
const message = async (f: () => unknown): Promise<string> => {
  try {
    await f();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return assert.fail('no error');
};

describe('config', () => {
  test('defaults, file and environment, in that order', async () => {
    assert.deepEqual(await load('name: a'), { name: 'a', broker: { url: 'mqtt://x', retries: 3 }, list: [] });
    const env = { T_BROKER__RETRIES: '7', T_LIST: '[1, 2]', T_NAME: 'b', OTHER: 'x' };
    assert.deepEqual(await load('name: a\nbroker: { url: u, retries: 5 }', env), {
      name: 'b',
      broker: { url: 'u', retries: 7 },
      list: [1, 2],
    });
  });
  test('the message names the file, the field, the value and what is expected', async () => {
    assert.match(
      await message(() => load('name: a\nbroker: { retries: many }')),
      /config\.yaml: broker\.retries is "many": .*number/,
    );
    assert.match(
      await message(() => load('name: a\nbroker: { retires: 2 }')),
      /config\.yaml: unknown field broker\.retires/,
    );
    assert.match(await message(() => load('{}')), /name/);
  });
  test('the message names the environment variable that is wrong', async () => {
    assert.match(
      await message(() => load('name: a', { T_BROKER__RETRIES: 'x' })),
      /environment variable T_BROKER__RETRIES: broker\.retries is "x"/,
    );
  });
  test('a missing file, bad YAML and a list at the top are named', async () => {
    assert.match(
      await message(() => loadConfig(schema, { file: join(folder, 'none.yaml') })),
      /none\.yaml can't be read \(ENOENT\)/,
    );
    assert.match(await message(() => load('a: [')), /is not YAML/);
    assert.match(await message(() => load('- a')), /must hold a map/);
  });
  test('an address with a password in it is refused without being shown', async () => {
    const text = await message(() => loadConfig(brokerSchema, { file: file('url: mqtt://user:hunter2@host:1883') }));
    assert.match(text, /url is \[hidden\]: holds a password; put it in a file/);
    assert.doesNotMatch(text, /hunter2/);
  });
  test('secrets are neither printed nor quoted in errors', async () => {
    assert.doesNotMatch(printConfig({ password: 'hunter2', nested: [{ apiToken: 'abc' }] }), /hunter2|abc/);
    assert.doesNotMatch(await message(() => load('name: a\npassword: [hunter2]')), /hunter2/);
  });
});

describe('durable files', () => {
  test('a write is whole, and leaves nothing behind when it fails', async () => {
    const path = join(folder, 'deep', 'er', 'file');
    await writeDurable(path, 'one');
    await writeDurable(path, Buffer.from('two'));
    assert.equal(readFileSync(path, 'utf8'), 'two');
    // A folder stands where the file should go: the rename fails.
    await writeDurable(join(folder, 'taken', 'child'), 'x');
    await assert.rejects(writeDurable(join(folder, 'taken'), 'y'));
    assert.deepEqual(
      readdirSync(folder).filter((n) => n.endsWith('.tmp')),
      [],
    );
  });
  test('leftovers of a crash are swept, missing files and folders are empty', async () => {
    const where = join(folder, 'swept');
    await writeDurable(join(where, 'b'), '1');
    await writeDurable(join(where, 'a'), '1');
    writeFileSync(join(where, 'a.123.0.tmp'), 'half');
    assert.deepEqual(await listFolder(where), ['a', 'b']);
    assert.deepEqual(readdirSync(where).sort(), ['a', 'b']);
    assert.deepEqual(await listFolder(join(folder, 'nowhere')), []);
    assert.equal(await readIfThere(join(folder, 'nothing')), undefined);
  });
});

test('a serial queue runs one at a time and goes on after a failure', async () => {
  const queue = new SerialQueue();
  const seen: string[] = [];
  const slow = queue.run(async () => {
    await new Promise((r) => setImmediate(r));
    seen.push('slow');
  });
  const failing = queue.run(async () => {
    seen.push('failing');
    throw new Error('no');
  });
  const last = queue.run(async () => seen.push('last'));
  await assert.rejects(failing, /no/);
  await Promise.all([slow, last]);
  assert.deepEqual(seen, ['slow', 'failing', 'last']);
});

test('a log line of an error or a refusal has its code', async () => {
  const lines: string[] = [];
  const script = `
    import { createLogger, ConfigError } from '@ecavg/runtime';
    const log = createLogger('t', { level: 'info', format: 'json' });
    log.error({ err: new ConfigError('ECAVG_FILE', 'x') }, 'a');
    log.error({ err: Object.assign(new Error('full'), { code: 'ENOSPC' }) }, 'b');
    log.error({ err: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) }, 'b2');
    log.warn({ reason: 'round-closed' }, 'c');
    log.info({ reason: 'a reason of its own' }, 'd');
    log.child({ model: 'm' }).error({ err: new Error('?') }, 'e');`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  for (const line of stderr.trim().split('\n')) lines.push(JSON.parse(line).code ?? '-');
  assert.deepEqual(lines, [
    'ECAVG_FILE',
    'ECAVG_STORAGE',
    'ECAVG_CONNECTION',
    'ECAVG_REFUSED_ROUND_CLOSED',
    '-',
    'ECAVG_UNEXPECTED',
  ]);
});
