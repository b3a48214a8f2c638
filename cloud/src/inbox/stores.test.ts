import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Artifact, prepareArtifact, updateArtifact, zooModel } from '@ecavg/models';
import { codec, decodeUpdate, encodeUpdate, Signer, type StatusMessage, sha256Hex } from '@ecavg/protocol';
import { ConfigError, createLogger } from '@ecavg/runtime';
import { cloudConfigSchema } from '../config.js';
import { EventLog } from '../fleet/events.js';
import { Members } from '../fleet/members.js';
import { Aggregator } from '../judging/aggregator.js';
import { EmbeddedTelemetry } from '../telemetry/embedded.js';
import { Registry } from '../versions/registry.js';
import { type RoundState, RoundStore } from './roundStore.js';
import { Slices } from './slices.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-cloud-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });

const artifact: Artifact = await prepareArtifact(zooModel('mlp', { input: [3], classes: 2, seed: 1 }), {
  loss: 'cross-entropy',
  batch: 4,
  sample: [3],
});

const signer = Signer.generate();

/** An update of `edge` whose every value is `value`. */
function update(edge: string, value: number, samples: number, round = 1): { blob: Uint8Array; id: string } {
  const { layout } = artifact;
  const payload = codec('raw').encode(new Float32Array(layout.total).fill(value), layout, {});
  const blob = encodeUpdate(
    {
      fleet: 'f',
      edge,
      model: 'm',
      round,
      base: artifact.sha256,
      codec: 'raw',
      layout: layout.hash,
      samples,
      steps: 1,
      createdAt: 0,
      metrics: {},
    },
    payload,
    signer,
  );
  return { blob, id: sha256Hex(blob) };
}

const state: RoundState = {
  round: 1,
  phase: 'open',
  base: { version: 1, sha256: artifact.sha256 },
  openedAt: 0,
  deadlineAt: 1,
  participants: ['a', 'b'],
  selected: false,
  epochs: 1,
};

async function acceptInto(store: RoundStore, edge: string, value: number, samples: number): Promise<string> {
  const { blob, id } = update(edge, value, samples);
  await store.accept(id, decodeUpdate(blob).header, blob);
  return id;
}

async function averageOf(store: RoundStore, folder: string, strategy: object = {}): Promise<Float32Array> {
  const config = cloudConfigSchema.parse({ dataDir: folder, model: { id: 'm' }, strategy: { clip: 0, ...strategy } });
  const aggregator = new Aggregator(config, folder, store.references, new Slices(artifact, config.strategy.combiner));
  return (await aggregator.aggregate(artifact, store.accepted)).weights;
}

describe('federated average', () => {
  test('weighs by samples and does not depend on the order of arrival', async () => {
    const averages: Float32Array[] = [];
    for (const order of [
      ['a', 'b', 'c'],
      ['c', 'a', 'b'],
    ]) {
      const store = await RoundStore.open(join(root, `average-${order.join('')}`));
      await store.save({ ...state, participants: [...order] });
      const by: Record<string, [number, number]> = { a: [1, 10], b: [-0.5, 30], c: [0.25, 60] };
      for (const edge of order) await acceptInto(store, edge, ...(by[edge] as [number, number]));
      averages.push(await averageOf(store, join(root, `average-${order.join('')}`)));
    }
    const [first, second] = averages as [Float32Array, Float32Array];
    assert.deepEqual(first, second);
    first.forEach((w, i) => {
      // 0.1 * 1 + 0.3 * -0.5 + 0.6 * 0.25 = 0.1
      assert.ok(Math.abs(w - (artifact.weights[i] as number) - 0.1) < 1e-6);
    });
  });
});

test('the server’s moments go from version to version, and those of others are dropped', async () => {
  const folder = join(root, 'moments');
  const store = await RoundStore.open(folder);
  await store.save(state);
  await acceptInto(store, 'a', 1, 10);
  const config = cloudConfigSchema.parse({
    dataDir: folder,
    model: { id: 'm' },
    strategy: { server: { name: 'fedavgm', momentum: 0.5 } },
  });
  const aggregator = new Aggregator(config, folder, store.references, new Slices(artifact, config.strategy.combiner));
  const once = async (): Promise<number> => {
    const { weights, state: moments } = await aggregator.aggregate(artifact, store.accepted);
    await aggregator.keep(artifact.sha256, moments);
    return (weights[0] as number) - (artifact.weights[0] as number);
  };
  const moved = [await once(), await once()];
  await aggregator.prune(['another']);
  moved.push(await once());
  // m = 1, then 0.5 * 1 + 1, and from the start again.
  [1, 1.5, 1].forEach((expected, i) => {
    assert.ok(Math.abs((moved[i] as number) - expected) < 1e-6, String(moved));
  });
});

describe('round store', () => {
  test('what was accepted is there after a crash, in the same round', async () => {
    const folder = join(root, 'crash');
    const store = await RoundStore.open(folder);
    await store.save(state);
    const id = await acceptInto(store, 'a', 1, 10);
    // A write that the crash cut off.
    writeFileSync(join(folder, 'inbox', '1', 'b.99.0.tmp'), 'half an update');
    const again = await RoundStore.open(folder);
    assert.deepEqual(again.state, state);
    assert.deepEqual(
      again.accepted.map((x) => [x.header.edge, x.id, x.header.samples]),
      [['a', id, 10]],
    );
    assert.equal(again.acceptedId(1, 'a'), id);
    assert.equal(again.acceptedId(1, 'b'), undefined);
  });
  test('a finished round forgets the updates and remembers their ids, across restarts', async () => {
    const folder = join(root, 'finish');
    const store = await RoundStore.open(folder);
    await store.save(state);
    const id = await acceptInto(store, 'a', 1, 10);
    await store.finish();
    for (const s of [store, await RoundStore.open(folder)]) {
      assert.equal(s.state?.phase, 'done');
      assert.deepEqual(s.accepted, []);
      assert.equal(s.acceptedId(1, 'a'), id);
    }
    assert.deepEqual(readdirSync(join(folder, 'inbox')), []);
  });
  test('in an asynchronous round an edge may answer earlier rounds too, each once, also across a crash', async () => {
    const folder = join(root, 'late');
    const store = await RoundStore.open(folder);
    await store.save({ ...state, round: 3 });
    const answers = [2, 3].map((round) => ({ round, ...update('a', 1, 10, round) }));
    for (const { id, blob } of answers) await store.accept(id, decodeUpdate(blob).header, blob);
    const open = await RoundStore.open(folder);
    assert.equal(open.accepted.length, 2);
    await open.finish();
    for (const s of [open, await RoundStore.open(folder)])
      for (const { round, id } of answers) assert.equal(s.acceptedId(round, 'a'), id);
  });
});

const SOURCE = { from: 'mlp', batch: 4, optimizer: 'sgd' as const };

describe('registry', () => {
  test('versions form a chain that survives a restart, and damage is noticed', async () => {
    const folder = join(root, 'registry');
    const registry = await Registry.open(folder, SOURCE);
    const next = updateArtifact(
      artifact,
      artifact.weights.map((w) => w + 1),
    );
    await registry.add(artifact, { round: 0, createdAt: 1, metrics: {} });
    await registry.add(next, { round: 1, createdAt: 2, metrics: { accuracy: 0.5 } });
    const again = await Registry.open(folder, SOURCE);
    assert.deepEqual(
      again.versions.map((v) => [v.version, v.round, v.parent]),
      [
        [1, 0, null],
        [2, 1, artifact.sha256],
      ],
    );
    const head = again.head;
    assert.ok(head);
    assert.deepEqual((await again.load(head)).weights, next.weights);
    writeFileSync(join(folder, 'blobs', `${next.sha256}.blob`), 'garbage');
    await assert.rejects(again.load(head), /is damaged/);
  });
  test('a version on trial is not in force until it is promoted; a restore withdraws it and brings an old one back as new', async () => {
    const folder = join(root, 'trial');
    const registry = await Registry.open(folder, SOURCE);
    const moved = (by: number) =>
      updateArtifact(
        artifact,
        artifact.weights.map((w) => w + by),
      );
    const trial = { edges: ['a'], until: 9 };
    await registry.add(artifact, { round: 0, createdAt: 1, metrics: {} });
    await registry.add(moved(1), { round: 1, createdAt: 2, metrics: {}, canary: trial });
    assert.deepEqual([registry.head?.version, registry.canary?.version], [1, 2]);
    await registry.promote();
    assert.deepEqual([registry.head?.version, registry.canary], [2, undefined]);
    await registry.add(moved(2), { round: 2, createdAt: 3, metrics: {}, canary: trial });
    const back = await registry.restore(1, 4);
    const shown = (r: Registry) => r.versions.map((v) => [v.version, v.state, v.sha256.slice(0, 6), v.restores ?? 0]);
    const [first, second, third] = [artifact, moved(1), moved(2)].map((a) => a.sha256.slice(0, 6));
    const expected = [
      [1, 'current', first, 0],
      [2, 'current', second, 0],
      [3, 'withdrawn', third, 0],
      [4, 'current', first, 1],
    ];
    assert.deepEqual(shown(registry), expected);
    assert.deepEqual([back.parent, registry.head?.version], [moved(1).sha256, 4]);
    await registry.pin(4);
    const again = await Registry.open(folder, SOURCE);
    assert.deepEqual([shown(again), again.pinned], [expected, 4]);
    assert.deepEqual((await again.load(back)).weights, artifact.weights);
    // What an update may be based on: not what was rolled back, nor what never came into force.
    assert.deepEqual(
      [artifact, moved(1), moved(2)].map((a) => again.staleness(a.sha256)),
      [0, undefined, undefined],
    );
    await again.add(moved(3), { round: 3, createdAt: 5, metrics: {} });
    assert.equal(again.staleness(artifact.sha256), 1);
    await assert.rejects(again.restore(17, 5), ConfigError);
  });
  test('another architecture or batch in the settings is refused, and a damaged index is named', async () => {
    const folder = join(root, 'source');
    await (await Registry.open(folder, SOURCE)).add(artifact, { round: 0, createdAt: 1, metrics: {} });
    await assert.rejects(
      Registry.open(folder, { from: 'cnn-small', batch: 4, optimizer: 'sgd' }),
      (e) =>
        e instanceof ConfigError && /made from mlp with batch 4 and sgd; the settings say cnn-small/.test(e.message),
    );
    await assert.rejects(Registry.open(folder, { from: 'mlp', batch: 8, optimizer: 'sgd' }), ConfigError);
    writeFileSync(join(folder, 'index.json'), '{"format": 1, "vers');
    await assert.rejects(Registry.open(folder, SOURCE), /index\.json is damaged: restore it/);
  });
});

describe('members', () => {
  const status = (session: number, online: boolean): StatusMessage => ({
    v: 1,
    type: 'status',
    edge: 'e',
    online,
    session,
    software: 's',
    samples: 1,
    models: {},
  });
  test('a last will that comes after the rebirth is ignored', () => {
    const members = new Members();
    members.status(status(1, true));
    members.status(status(2, true));
    assert.equal(members.status(status(1, false)), undefined);
    assert.ok(members.isOnline('e'));
    members.status(status(2, false));
    assert.deepEqual(members.online, []);
  });
});

test('events come again to whoever missed them, and listeners can leave', () => {
  const events = new EventLog();
  const seen: number[] = [];
  const leave = events.listen((e) => seen.push(e.id));
  for (let i = 0; i < 3; i++) events.emit('edge', { i });
  leave();
  events.emit('edge', { i: 3 });
  assert.deepEqual(seen, [1, 2, 3]);
  assert.deepEqual(
    events.after(2).map((e) => e.id),
    [3, 4],
  );
});

test('the embedded store keeps points across restarts, newest first, measurements apart', async () => {
  const folder = join(root, 'telemetry');
  const point = (at: number, value: number) =>
    ({ measurement: 'ecavg_round', tags: { fleet: 'f' }, fields: { value }, at }) as const;
  const store = await EmbeddedTelemetry.open(folder, log);
  store.write([point(10, 1), point(9, 0), point(10, 2)]);
  store.write([{ ...point(11, 3), measurement: 'ecavg_edge' }]);
  await store.close();
  const again = await EmbeddedTelemetry.open(folder, log);
  assert.deepEqual(
    (await again.query('ecavg_round', 10)).map((p) => p.fields.value),
    [2, 1, 0],
  );
  assert.deepEqual(
    (await again.query('ecavg_round', 1)).map((p) => p.fields.value),
    [2],
  );
  assert.deepEqual(await again.query('ecavg_edge', 10), [{ ...point(11, 3), measurement: 'ecavg_edge' }]);
  await again.close();
});
