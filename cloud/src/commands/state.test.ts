import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pack, sha256Hex, unpack } from '@ecavg/protocol';
import { checkDataFolder, createLogger, NewerFormatError, openDataFolder, stateKinds } from '@ecavg/runtime';
import { ClassicLevel } from 'classic-level';
import { EdgeKeys } from '../fleet/edgeKeys.js';
import { EdgeRecords } from '../fleet/edgeRecords.js';
import { Accounts } from '../http/accounts.js';
import { References } from '../inbox/references.js';
import { RoundStore } from '../inbox/roundStore.js';
import type { Slices } from '../inbox/slices.js';
import { Aggregator } from '../judging/aggregator.js';
import { UpstreamStore } from '../regional/upstreamStore.js';
import { History, historyPath } from '../rounds/history.js';
import { EmbeddedTelemetry } from '../telemetry/embedded.js';
import { Spool } from '../telemetry/spool.js';
import { ControlBox } from '../versions/controlBox.js';
import { Registry } from '../versions/registry.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-cloud-state-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });
let folders = 0;
/** A folder with these files. */
function folderOf(files: Readonly<Record<string, unknown>>): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    const text = typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content);
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
const jsonOf = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));

/** Of a command: old answers are forgotten. */
const ID = `${Date.now()}-a`;

const BINARY = /^(moments|regional)/;

const SOURCE = { from: 'mlp', batch: 4, optimizer: 'sgd' as const };
const ROUND = {
  round: 3,
  phase: 'done',
  base: { version: 1, sha256: 'a' },
  openedAt: 1,
  deadlineAt: 2,
  participants: ['a'],
  epochs: 1,
};
const KEY = { edge: 'a', key: 'ab'.repeat(32), how: 'token', since: 1, revoked: true };
const RECEPTION = { reception: { at: 1, version: 2, outcome: 'published', hurt: [], edges: [] } };
const aggregatorIn = (folder: string): Aggregator =>
  new Aggregator({ strategy: {} } as never, folder, new References(folder), {} as Slices);

/** Runs a control box until its log says something. */
async function served(
  folder: string,
  level: 'info' | 'warn',
  carryOut: Parameters<ControlBox['serve']>[0],
): Promise<void> {
  let serving: Promise<() => Promise<void>> | undefined;
  await new Promise<void>((done) => {
    serving = new ControlBox(folder).serve(carryOut, { ...log, [level]: () => done() } as typeof log);
  });
  await (await serving)?.();
}

describe('files of release 0.1.0, which carried no number', () => {
  test('a round and its ledgers', async () => {
    const ids = { a: 'id-a', format: 'id-of-an-edge-so-named' };
    const folder = folderOf({ 'rounds/m/round.json': ROUND, 'rounds/m/ledger/3.json': ids });
    const rounds = join(folder, 'rounds', 'm');
    const holds = async (): Promise<void> => {
      const store = await RoundStore.open(rounds);
      assert.deepEqual([store.state, store.acceptedId(3, 'a')], [{ ...ROUND, selected: false }, 'id-a']);
      assert.equal(store.acceptedId(3, 'format'), ids.format);
    };
    await holds();
    await openDataFolder(folder, 'cloud');
    await holds();
    assert.equal(jsonOf(rounds, 'round.json').format, 1);
    assert.deepEqual(jsonOf(rounds, 'ledger', '3.json'), { format: 1, ids });
  });

  test('records of gateways', async () => {
    const record = { asked: 4, answered: 3, sound: 2, unsound: 1, samples: 10, lastRound: 3 };
    const folder = folderOf({ 'fleets/f/rounds/m/edges.json': { a: record } });
    const rounds = join(folder, 'fleets', 'f', 'rounds', 'm');
    assert.deepEqual([...(await EdgeRecords.open(rounds)).all], [['a', record]]);
    await openDataFolder(folder, 'cloud');
    assert.deepEqual([...(await EdgeRecords.open(rounds)).all], [['a', record]]);
    assert.deepEqual(jsonOf(rounds, 'edges.json'), { format: 1, edges: { a: record } });
  });

  test('keys and tokens, which commands may be changing, are renewed when they change', async () => {
    const token = { edge: null, expiresAt: Date.now() + 1e6 };
    const data = folderOf({
      'keys/edges/a.json': KEY,
      'keys/edges/b.json': { ...KEY, edge: 'b' },
      'keys/tokens/ab.json': token,
    });
    const folder = join(data, 'keys');
    const keys = new EdgeKeys(folder);
    await openDataFolder(data, 'cloud');
    assert.deepEqual(await keys.list(), [KEY, { ...KEY, edge: 'b' }]);
    await assert.rejects(keys.check('a', KEY.key), /was revoked/);
    assert.deepEqual(jsonOf(folder, 'edges', 'a.json'), KEY);
    await keys.revoke('a', false);
    assert.deepEqual(jsonOf(folder, 'edges', 'a.json'), { format: 1, ...KEY });
    await assert.rejects(keys.enrol({ edge: 'c', key: KEY.key, proof: 'x' }), /no token fits/);
    assert.ok(existsSync(join(folder, 'tokens', 'ab.json')));
  });

  test('moments of the server optimiser', async () => {
    const m = Float32Array.of(1, -2);
    const folder = folderOf({ 'rounds/m/moments/abc': pack({ m: new Uint8Array(m.buffer) }) });
    const aggregator = aggregatorIn(join(folder, 'rounds', 'm'));
    assert.deepEqual(await aggregator.state('abc'), { m });
    await openDataFolder(folder, 'cloud');
    assert.deepEqual(await aggregator.state('abc'), { m });
    const { format } = unpack(readFileSync(join(folder, 'rounds', 'm', 'moments', 'abc'))) as { format: number };
    assert.equal(format, 1);
  });

  test('history, with a line that a crash has torn', async () => {
    const line = JSON.stringify(RECEPTION);
    const folder = folderOf({ 'rounds/m/history.jsonl': `${line}\n${line}\n${line.slice(0, 30)}` });
    const path = historyPath(folder, 'm');
    const before = readFileSync(path);
    assert.equal((await History.read(path)).receptions.length, 2);
    assert.deepEqual(readFileSync(path), before, 'who only looks changes nothing');
    await openDataFolder(folder, 'cloud');
    const history = await History.open(path);
    await history.received(RECEPTION.reception as never);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    assert.deepEqual(
      lines.map((l) => JSON.parse(l)),
      [1, 2, 3].map(() => ({ format: 1, ...RECEPTION })),
    );
    assert.equal((await History.open(path)).receptions.length, 3);
  });

  test('what a region carries on to the cloud, its outbox and the round that it settled', async () => {
    const carried = Float32Array.of(1, -2, 3);
    const blob = Uint8Array.of(1, 2);
    const entry = { id: sha256Hex(blob), round: 4, base: 'b', blob };
    const folder = folderOf({
      'upstream/residual': new Uint8Array(carried.buffer),
      'upstream/settled': '3',
      'upstream/outbox': pack(entry),
    });
    const upstream = join(folder, 'upstream');
    const holds = async (): Promise<void> => {
      const store = await UpstreamStore.open(upstream);
      assert.deepEqual([store.settledRound, await store.residual(3), await store.residual(2)], [3, carried, undefined]);
      const waiting = await store.load();
      assert.deepEqual(waiting && { ...waiting, blob: Uint8Array.from(waiting.blob) }, entry);
    };
    await holds();
    await openDataFolder(folder, 'region');
    await holds();
    for (const name of ['residual', 'outbox'])
      assert.equal((unpack(readFileSync(join(upstream, name))) as { format: number }).format, 1);
    assert.deepEqual(jsonOf(upstream, 'settled'), { format: 1, round: 3 });
  });

  test('points on their way to InfluxDB', async () => {
    const point = { measurement: 'ecavg_round', tags: {}, fields: { round: 1 }, at: 5 } as const;
    const name = 'telemetry-spool/000000000000.ndjson';
    const folder = folderOf({ [name]: `${JSON.stringify(point)}\n${JSON.stringify(point)}` });
    await openDataFolder(folder, 'cloud');
    const line = `${JSON.stringify({ format: 1, ...point })}\n`;
    assert.equal(readFileSync(join(folder, name), 'utf8'), line + line);
    const spool = await Spool.open(join(folder, 'telemetry-spool'), 1e6);
    assert.deepEqual(await spool.oldest(), [point, point]);
    await spool.push([point]);
    await spool.shift();
    assert.deepEqual(await spool.oldest(), [point]);
  });

  test('points in the embedded store', async () => {
    const folder = folderOf({});
    const point = { measurement: 'ecavg_round', tags: {}, fields: { round: 1 }, at: 5 } as const;
    const db = new ClassicLevel<string, object>(folder, { valueEncoding: 'json' });
    await db.put('ecavg_round/000000000000005/000001', point);
    await db.close();
    const store = await EmbeddedTelemetry.open(folder, log);
    assert.deepEqual(await store.query('ecavg_round', 10), [point]);
    await store.close();
  });

  test('a command that was left for the cloud', async () => {
    const request = { fleet: 'f', model: 'm', action: 'pin' };
    const folder = folderOf({ [`${ID}.request.json`]: request });
    let asked: object | undefined;
    await served(folder, 'info', async (r) => {
      asked = r;
      return { done: true, text: 'done' };
    });
    assert.deepEqual(asked, request);
    assert.deepEqual(jsonOf(folder, `${ID}.answer.json`), { format: 1, done: true, text: 'done' });
  });
});

describe('files of a later release are refused by name and left as they are', () => {
  const newer = { format: 2 };
  const packed = pack(newer);
  const opened: [name: string, file: string, content: unknown, open: (folder: string) => Promise<unknown>][] = [
    ['round', 'round.json', newer, (f) => RoundStore.open(f)],
    ['ledger', 'ledger/3.json', newer, (f) => RoundStore.open(f)],
    ['records of gateways', 'edges.json', newer, (f) => EdgeRecords.open(f)],
    ['key', 'edges/a.json', newer, (f) => new EdgeKeys(f).check('a', KEY.key)],
    ['key, revoked', 'edges/a.json', newer, (f) => new EdgeKeys(f).revoke('a', false)],
    ['token', 'tokens/ab.json', newer, (f) => new EdgeKeys(f).enrol({ edge: 'a', key: KEY.key, proof: 'x' })],
    ['index of versions', 'index.json', newer, (f) => Registry.open(f, SOURCE)],
    ['moments', 'moments/abc', packed, (f) => aggregatorIn(f).state('abc')],
    ['regional outbox', 'outbox', packed, async (f) => (await UpstreamStore.open(f)).load()],
    ['settled round', 'settled', newer, (f) => UpstreamStore.open(f)],
    ['regional residual', 'residual', packed, async (f) => (await UpstreamStore.open(f)).residual(1)],
    ['history', 'h.jsonl', `${JSON.stringify(RECEPTION)}\n{"format":2}\n`, (f) => History.open(join(f, 'h.jsonl'))],
    ['accounts', 'http/accounts.json', newer, (f) => Accounts.open(f)],
    ['spool', '000000000000.ndjson', newer, async (f) => (await Spool.open(f, 1e6)).oldest()],
  ];
  for (const [name, file, content, open] of opened)
    test(name, async () => {
      const folder = folderOf({ ...(name === 'ledger' && { 'round.json': ROUND }), [file]: content });
      const before = readFileSync(join(folder, file));
      await assert.rejects(
        open(folder),
        (e) => e instanceof NewerFormatError && e.message.startsWith(`${join(folder, file)} (`),
      );
      assert.deepEqual(readFileSync(join(folder, file)), before);
    });

  test('the embedded store', async () => {
    const folder = folderOf({});
    const db = new ClassicLevel<string, object>(folder, { valueEncoding: 'json' });
    await db.put('!format', newer);
    await db.close();
    await assert.rejects(EmbeddedTelemetry.open(folder, log), NewerFormatError);
    await assert.rejects(EmbeddedTelemetry.open(folder, log), NewerFormatError, 'it was closed');
  });

  test('a command of a later release is answered so', async () => {
    const folder = folderOf({ [`${ID}.request.json`]: newer });
    await served(folder, 'warn', async () => assert.fail('not carried out'));
    const answer = jsonOf(folder, `${ID}.answer.json`);
    assert.ok(answer.done === false && /request of a command\) has format 2/.test(answer.text));
  });

  test('every kind of file of the cloud and the region, at the start, before anything else', async () => {
    const tried = new Set<string>();
    for (const role of ['cloud', 'region'] as const)
      for (const { kind } of stateKinds.of(role)) {
        const { format, about } = kind;
        if (!format) continue;
        const at = [about.at[role] ?? []].flat().flatMap((p) => [p.replace(/\[.*?\]/, ''), p.replace(/[[\]]/g, '')]);
        for (const file of at.map((p) => p.replace(/\{\w+\}/g, 'x'))) {
          const folder = folderOf({ [file]: BINARY.test(about.kind) ? packed : newer });
          await assert.rejects(
            checkDataFolder(folder, role),
            (e) => e instanceof NewerFormatError && e.message.startsWith(`${join(folder, file)} (${about.kind})`),
            file,
          );
          tried.add(file);
        }
      }
    const some = ['fleets/x/rounds/x/round.json', 'upstream/trust.json', 'http/accounts.json', historyPath('', 'x')];
    for (const file of some) assert.ok(tried.has(file), file);
  });
});
