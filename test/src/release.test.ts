import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { pack, unpack } from '@ecavg/protocol';
import { connectAsync } from 'mqtt';
import { ECAVG } from './harness.js';
import { outboxId } from './outbox.js';
import { paced } from './pace.js';
import { RELEASE, ReleaseFleet } from './releaseFleet.js';

const run = promisify(execFile);

interface ModelWas {
  readonly pinned: number | null;
  readonly head: number;
  readonly versions: readonly { readonly version: number; readonly sha256: string; readonly state: string }[];
  readonly round: number;
  readonly ledger: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly moments: Readonly<Record<string, Readonly<Record<string, Part>>>>;
  readonly edges: Readonly<Record<string, object>>;
  readonly history: readonly { readonly round?: number; readonly reception?: number }[];
  readonly accepted: readonly { readonly edge: string; readonly id: string }[];
}
interface Part {
  readonly bytes: number;
  readonly sha256: string;
}
/** What the release before left; see the README of the fixtures. */
const WAS = JSON.parse(readFileSync(join(RELEASE, 'expected.json'), 'utf8')) as {
  readonly broker: { readonly users: Readonly<Record<string, { readonly role: string; readonly password: boolean }>> };
  readonly cloud: {
    readonly key: string;
    readonly models: Readonly<Record<string, ModelWas>>;
    readonly keys: Readonly<Record<string, { edges: Readonly<Record<string, { key: string; revoked: boolean }>> }>>;
    readonly telemetry: Readonly<Record<string, number>>;
  };
  readonly region: { readonly upstream: { readonly outbox: { readonly id: string } } };
  readonly edges: Readonly<
    Record<
      string,
      {
        readonly outbox: { readonly id: string; readonly ifAccepted: Readonly<Record<string, Part>> } | null;
        readonly memory: Readonly<Record<string, Part>>;
        readonly samples: { readonly seen: object };
        readonly session: number;
      }
    >
  >;
};
const FOLDER_OF: Readonly<Record<string, string[]>> = {
  'plant/bearings': [],
  'plant/valves': [],
  'other/valves': ['fleets', 'other'],
};
const modelIn = (name: string, kind: 'models' | 'rounds'): string[] => [
  ...(FOLDER_OF[name] ?? []),
  kind,
  name.split('/')[1] ?? '',
];
const partsOf = (file: string): Readonly<Record<string, Part>> =>
  Object.fromEntries(
    Object.entries(unpack(readFileSync(file)) as Record<string, unknown>).flatMap(([name, bytes]) =>
      bytes instanceof Uint8Array
        ? [[name, { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }]]
        : [],
    ),
  );

/** Logs in, and counts what is retained for who reads everything. */
async function brokerHolds(fleet: ReleaseFleet, url: string): Promise<void> {
  const secret = (file: string): string => readFileSync(join(fleet.root, 'secrets', file), 'utf8').trim();
  for (const [username, { role, password }] of Object.entries(WAS.broker.users)) {
    if (!password || username === 'edge-1') continue;
    const client = await connectAsync(url, { username, password: secret(`${username}.password`), reconnectPeriod: 0 });
    if (role === 'admin') {
      const topics = new Set<string>();
      const all = new Promise<void>((done) => {
        client.on('message', (topic) => topics.add(topic).size === 30 && done());
      });
      await client.subscribeAsync('ecavg/v1/#', { qos: 1 });
      await all;
    }
    await client.endAsync(true);
  }
  await assert.rejects(connectAsync(url, { username: 'anna', password: 'x', reconnectPeriod: 0 }, false));
}

/** What the cloud says over HTTP and on the command line is what was. */
async function cloudHolds(fleet: ReleaseFleet, url: string): Promise<void> {
  const token = readFileSync(join(fleet.root, 'secrets', 'grafana.api-token'), 'utf8').trim();
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${url}/api/v1/${path}`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(response.status, 200, path);
    return (await response.json()) as T;
  };
  for (const [user, file] of [
    ['anna', 'secrets/anna.password'],
    ['operator', 'cloud/http/first-password'],
  ] as const) {
    const body = JSON.stringify({ name: user, password: readFileSync(join(fleet.root, file), 'utf8').trim() });
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/api/v1/session`, { method: 'POST', headers, body });
    assert.ok(response.ok, `${user}: ${await response.text()}`);
  }
  for (const [name, was] of Object.entries(WAS.cloud.models)) {
    const [of, id] = name.split('/');
    const about = `fleet=${of}&model=${id}`;
    const { pinned, versions } = await ask<ModelWas>(`state?${about}`);
    const head = versions.findLast((v) => v.state === 'current');
    assert.deepEqual([pinned, head?.version], [was.pinned, was.head], name);
    const index = fleet.json('cloud', ...modelIn(name, 'models'), 'index.json') as unknown as ModelWas;
    assert.deepEqual(
      index.versions.map((v) => [v.version, v.sha256, v.state]),
      was.versions.map((v) => [v.version, v.sha256, v.state]),
    );
    const rounds = modelIn(name, 'rounds');
    const kept = fleet.json('cloud', ...rounds, 'round.json');
    assert.deepEqual([kept.format, kept.round], [1, was.round]);
    for (const [round, ids] of Object.entries(was.ledger))
      assert.deepEqual(fleet.json('cloud', ...rounds, 'ledger', `${round}.json`), { format: 1, ids });
    assert.deepEqual(fleet.json('cloud', ...rounds, 'edges.json'), { format: 1, edges: was.edges });
    const lines = readFileSync(fleet.path('cloud', ...rounds, 'history.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    assert.deepEqual(
      lines.map((l) => (JSON.parse(l) as { format: number }).format),
      was.history.map(() => 1),
    );
    const { rounds: told, receptions } = await ask<Record<'rounds' | 'receptions', object[]>>(`rounds?${about}`);
    assert.equal(told.length, was.history.filter((h) => h.round !== undefined).length);
    assert.equal(told.length + receptions.length, was.history.length);
  }
  for (const [measurement, points] of Object.entries(WAS.cloud.telemetry))
    assert.ok((await ask<object[]>(`telemetry/${measurement}?limit=1000`)).length >= points, measurement);
  for (const [of, { edges }] of Object.entries(WAS.cloud.keys)) {
    const args = ['cloud', 'edges', '--config', join(fleet.root, 'run', 'cloud.yaml'), '--fleet', of];
    const { stdout } = await run(process.execPath, [ECAVG, ...args]);
    const listed = stdout.trimEnd().split('\n');
    assert.deepEqual(
      listed.map((l) => [l.split('  ')[0], l.split('  ')[1], l.endsWith('revoked')]),
      Object.entries(edges).map(([edge, { key, revoked }]) => [edge, key, revoked]),
    );
  }
}

test('data folders of release 0.1.0 open: the fleet goes on where it was killed', {
  timeout: paced(200_000),
}, async () => {
  const fleet = new ReleaseFleet();
  try {
    // The first starts are killed while they write old files anew.
    await fleet.killed('cloud', 'rounds', 'bearings');
    await fleet.killed('cloud', 'rounds', 'valves', 'ledger');
    await fleet.killed('region', 'upstream');
    await fleet.killed('edge-2');
    const broker = await fleet.start('broker');
    await brokerHolds(fleet, String(broker.ready.url));
    const cloud = await fleet.start('cloud');
    assert.equal(cloud.ready.cloudKey, WAS.cloud.key);
    await fleet.logged('cloud', /"model":"bearings".*going on with the round/);
    await cloudHolds(fleet, String(cloud.ready.dashboard));

    // What waited in outboxes is taken, and closes the round.
    await Promise.all([fleet.start('edge-2'), fleet.start('region')]);
    await fleet.logged('cloud', /"round":4,.*round closed/);
    await outboxId(fleet.path('edge-2'), true);
    const waited = WAS.edges['edge-2']?.outbox;
    assert.deepEqual(partsOf(fleet.path('edge-2', 'memory')), waited?.ifAccepted);
    const [accepted] = WAS.cloud.models['plant/bearings']?.accepted ?? [];
    const ids = { 'edge-1': accepted?.id, 'edge-2': waited?.id, north: WAS.region.upstream.outbox.id };
    assert.deepEqual(fleet.json('cloud', 'rounds', 'bearings', 'ledger', '4.json').ids, ids);

    // And the next one is trained by all.
    await Promise.all(['edge-1', 'edge-3', 'edge-4', 'edge-5'].map((name) => fleet.start(name)));
    await fleet.logged('cloud', /"round":5,.*round closed/);
    await fleet.logged('edge-1', /"version":6/);
    const { ids: next } = fleet.json('cloud', 'rounds', 'bearings', 'ledger', '5.json');
    assert.deepEqual(Object.keys(next as object).sort(), ['edge-1', 'edge-2', 'north']);
    for (const [edge, { samples, session }] of Object.entries(WAS.edges)) {
      assert.match(fleet.log(edge), /the model of the last run is in service/);
      assert.doesNotMatch(fleet.log(edge), /recording read|outbox was damaged/);
      assert.deepEqual(fleet.json(edge, 'samples', 'state.json').seen, samples.seen);
      assert.ok((fleet.json(edge, 'session').session as number) > session);
    }
    await fleet.stop();
    for (const [name, { versions }] of Object.entries(WAS.cloud.models)) {
      const index = fleet.json('cloud', ...modelIn(name, 'models'), 'index.json') as unknown as ModelWas;
      assert.deepEqual(
        index.versions.slice(0, versions.length).map((v) => [v.version, v.sha256, v.state]),
        versions.map((v) => [v.version, v.sha256, v.state]),
      );
      assert.equal(index.versions.length - versions.length >= 2, name === 'plant/bearings');
    }
    assert.equal(fleet.json('cloud', 'models', 'valves', 'index.json').pinned, 5);
    for (const [file, was] of Object.entries(WAS.cloud.models['other/valves']?.moments ?? {}))
      assert.deepEqual(partsOf(fleet.path('cloud', ...modelIn('other/valves', 'rounds'), 'moments', file)), was);
    for (const name of fleet.names) {
      assert.ok(existsSync(fleet.path(name, 'ecavg.json')), name);
      assert.doesNotMatch(fleet.log(name), /"level":[56]0/, name);
    }
    assert.deepEqual(fleet.problems(), []);

    // A second start finds nothing to do.
    const before = fleet.contents();
    await fleet.openFolders();
    assert.deepEqual(fleet.contents(), before);
    const logged = ['broker', 'cloud', 'edge-1'].map((name) => [name, fleet.log(name).length] as const);
    for (const [name] of logged) await fleet.start(name);
    await fleet.stop();
    for (const [name, from] of logged) assert.doesNotMatch(fleet.log(name).slice(from), /"level":[56]0|damaged/, name);
    assert.deepEqual(fleet.problems(), []);
  } finally {
    await fleet.remove();
  }
});

test('what a later release wrote, and the folder of another daemon, end a start with one sentence and code 2', async () => {
  const fleet = new ReleaseFleet();
  try {
    const daemon = { cloud: 'cloud', edge: 'edge-2', region: 'region', broker: 'broker' } as const;
    const outbox = Buffer.from(pack({ format: 2, id: 'x' }));
    const cases: [name: string, change: () => void, why: RegExp][] = [
      [daemon.edge, () => writeFileSync(fleet.path('edge-2', 'outbox'), outbox), /outbox \(edge outbox\) has format 2/],
      [daemon.cloud, () => fleet.raise('cloud', 'rounds', 'bearings', 'round.json'), /\(cloud round\) has format 2/],
      [daemon.region, () => fleet.raise('region', 'ecavg.json'), /ecavg\.json \(data folder\) has format 2/],
      [
        daemon.broker,
        () => fleet.raise('broker', '..', 'users.json'),
        /users\.json \(users of the broker\) has format 2/,
      ],
    ];
    for (const [name, change, why] of cases) {
      change();
      const before = fleet.contents();
      await assert.rejects(
        fleet.start(name),
        (e: Error) => e.message.startsWith(`${name} ended with 2 `) && why.test(e.message),
      );
      assert.deepEqual(fleet.contents(), before, name);
    }
    const settings = join(fleet.root, 'run', 'cloud.yaml');
    const edge = join(fleet.root, 'run', 'edge-2.yaml');
    fleet.raise('cloud', 'models', 'bearings', 'index.json');
    fleet.raise('edge-2', 'status.json');
    const bearings = ['--fleet', 'plant', '--model', 'bearings'];
    const commands: [args: string[], why: RegExp][] = [
      [['cloud', 'history', '--config', settings, ...bearings], /index\.json \(index of versions\) has format 2/],
      [['edge', 'status', '--config', edge], /status\.json \(status of a gateway\) has format 2/],
    ];
    for (const [args, why] of commands)
      await assert.rejects(run(process.execPath, [ECAVG, ...args]), (e: { code?: number; stderr?: string }) => {
        assert.equal(e.code, 2, e.stderr);
        assert.match(e.stderr ?? '', why);
        assert.equal(e.stderr?.trimEnd().split('\n').length, 1);
        return true;
      });
    // Settings with the data folder of another.
    const wrong = join(fleet.root, 'run', 'wrong.yaml');
    writeFileSync(wrong, readFileSync(edge, 'utf8').replace('dataDir: edge-2', 'dataDir: cloud'));
    await assert.rejects(
      run(process.execPath, [ECAVG, 'edge', '--config', wrong]),
      (e: { code?: number; stdout?: string; stderr?: string }) => {
        assert.equal(e.code, 2);
        assert.match(
          `${e.stdout}${e.stderr}`,
          /cloud is the data folder of a cloud, not of a gateway: give each daemon a dataDir of its own/,
        );
        return true;
      },
    );
  } finally {
    await fleet.remove();
  }
});
