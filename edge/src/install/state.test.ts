import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pack, sha256Hex, unpack } from '@ecavg/protocol';
import { checkDataFolder, createLogger, NewerFormatError, openDataFolder, stateKinds } from '@ecavg/runtime';
import { edgeConfigSchema } from '../config.js';
import { SampleStore } from '../samples/sampleStore.js';
import { StreamData } from '../samples/streamData.js';
import { EdgeStore } from '../uplink/edgeStore.js';
import { readStatus } from './statusFile.js';
import '../inference/inference.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-edge-state-'));
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
const formatOf = (...path: string[]) => (unpack(readFileSync(join(...path))) as { format?: number }).format;
const never = (error: Error): void => assert.fail(error);

const floats = (...values: number[]) => new Uint8Array(Float32Array.of(...values).buffer);
const memory = { residual: floats(1, 2), levels: Uint8Array.of(255, 1) };
const carried = { residual: Float32Array.of(1, 2), levels: Int8Array.of(-1, 1) };
const blob = Uint8Array.of(1, 2, 3);
const outbox = { id: sha256Hex(blob), round: 4, base: 'b', blob, ifAccepted: memory, ifRejected: {} };

const stream = { channels: [{ name: 'x', min: 0, max: 100 }], rateHz: 10, window: 4, classes: ['ok', 'worn'] };
const configIn = (dataDir: string) =>
  edgeConfigSchema.parse({
    edge: 'e',
    model: 'm',
    dataDir,
    data: { stream, sources: [{ type: 'csv', path: join(dataDir, 'none', '*.csv'), watch: false }] },
  });
/** The stream of a gateway in this folder. */
async function openStream(dataDir: string): Promise<StreamData> {
  mkdirSync(join(dataDir, 'none'), { recursive: true });
  const config = configIn(dataDir);
  if (!config.data.stream) throw new Error('it has a stream');
  return StreamData.open({ config, stream: config.data.stream, login: {}, disk: { hasRoom: true }, log });
}
const samplesIn = (folder: string): SampleStore => {
  const { data } = configIn(folder);
  if (!data.stream) throw new Error('it has a stream');
  const about = { edge: 'e', seed: 1, validationShare: 0.2, maxBytes: 1e6, maxWindows: 100, transforms: '' };
  return new SampleStore(data.stream, { ...about, folder: join(folder, 'samples') }, log);
};

describe('files of release 0.1.0, which carried no number', () => {
  test('outbox, memory and local tensors', async () => {
    const local = { layout: 'l', values: floats(3) };
    const folder = folderOf({ outbox: pack(outbox), memory: pack(memory), 'local-tensors': pack(local) });
    for (let i = 0; i < 2; i++) {
      const store = new EdgeStore(folder);
      if (i > 0) await openDataFolder(folder, 'edge');
      const entry = await store.outbox(never);
      assert.deepEqual([entry?.id, entry?.round, entry?.ifAccepted, entry?.ifRejected], [outbox.id, 4, carried, {}]);
      assert.deepEqual(await store.memory(2), carried);
      assert.deepEqual(await store.localTensors('l'), Float32Array.of(3));
    }
    for (const name of ['outbox', 'memory', 'local-tensors']) assert.equal(formatOf(folder, name), 1);
  });

  test('how many samples were shared', async () => {
    const folder = folderOf({ 'shared-samples': '15' });
    assert.equal(await new EdgeStore(folder).sharedSamples(), 15);
    await openDataFolder(folder, 'edge');
    assert.deepEqual(jsonOf(folder, 'shared-samples'), { format: 1, count: 15 });
    assert.equal(await new EdgeStore(folder).sharedSamples(), 15);
  });

  test('the sample store, what is normal, and how far a CSV file was read', async () => {
    const digest = (await openStream(folderOf({}))).stream;
    const state = { digest, seen: { train: 3, validation: 1 }, recording: { file: '/a.csv', windows: 4 } };
    const normal = { x: Array.from({ length: 20 }, (_, i) => i) };
    const folder = folderOf({
      'samples/state.json': state,
      'samples/normal.json': normal,
      'samples/source-0.json': { '/a.csv': 120 },
    });
    assert.equal(samplesIn(folder).dealt('/a.csv'), 4);
    await openDataFolder(folder, 'edge');
    assert.equal(samplesIn(folder).dealt('/a.csv'), 4);
    assert.deepEqual(jsonOf(folder, 'samples', 'state.json'), { format: 1, ...state });
    const data = await openStream(folder);
    await data.start();
    assert.deepEqual(jsonOf(folder, 'samples', 'normal.json'), { format: 1, channels: normal });
    assert.deepEqual(jsonOf(folder, 'samples', 'source-0.json'), { format: 1, files: { '/a.csv': 120 } });
    await data.close();
  });

  test('the status of a gateway', async () => {
    const status = {
      edge: 'e',
      fleet: 'f',
      model: 'm',
      pid: 1,
      startedAt: 1,
      at: 1,
      connected: false,
      version: 4,
      round: 4,
      training: false,
      samples: 28,
      ready: true,
      memoryMegabytes: 133.8,
    };
    assert.deepEqual(await readStatus(folderOf({ 'status.json': status })), status);
  });
});

describe('files of a later release are refused by name and left as they are', () => {
  const newer = { format: 2 };
  const opened: [file: string, content: unknown, open: (folder: string) => Promise<unknown>][] = [
    ['outbox', pack(newer), (f) => new EdgeStore(f).outbox(never)],
    ['memory', pack(newer), (f) => new EdgeStore(f).memory(2)],
    ['local-tensors', pack(newer), (f) => new EdgeStore(f).localTensors('l')],
    ['shared-samples', newer, (f) => new EdgeStore(f).sharedSamples()],
    ['status.json', newer, readStatus],
    ['samples/state.json', newer, async (f) => samplesIn(f)],
    ['samples/normal.json', newer, openStream],
    ['samples/source-0.json', newer, async (f) => (await openStream(f)).start()],
  ];
  for (const [file, content, open] of opened)
    test(file, async () => {
      const folder = folderOf({ [file]: content, 'samples/train.windows': 'x'.repeat(100) });
      const before = readFileSync(join(folder, file));
      await assert.rejects(
        open(folder),
        (e) => e instanceof NewerFormatError && e.message.startsWith(`${join(folder, file)} (`),
      );
      assert.deepEqual(readFileSync(join(folder, file)), before);
      assert.ok(!existsSync(join(folder, 'outbox.damaged')));
    });

  test('every kind of file of a gateway, at the start, before anything else', async () => {
    let tried = 0;
    for (const { kind } of stateKinds.of('edge')) {
      const { format, about } = kind;
      for (const file of format ? [about.at.edge ?? []].flat() : []) {
        const binary = ['outbox', 'memory', 'local-tensors', 'serving'].includes(file);
        const folder = folderOf({ [file]: binary ? pack(newer) : newer });
        await assert.rejects(
          checkDataFolder(folder, 'edge'),
          (e) => e instanceof NewerFormatError && e.message.startsWith(`${join(folder, file)} (${about.kind})`),
          file,
        );
        tried++;
      }
    }
    assert.ok(tried >= 11, String(tried));
  });
});
