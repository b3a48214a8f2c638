import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError, hashPassword, isPassword, NewerFormatError } from '@ecavg/runtime';
import fc from 'fast-check';
import { covers, mayPublish, maySubscribe, ROLES, type Role, rightsOf } from './acl.js';
import { brokerConfigSchema } from './config.js';
import { PacketLimit } from './packetLimit.js';
import { openBackend } from './persistence.js';
import { Bucket } from './rate.js';
import { InOrder } from './storeFirst.js';
import { Users } from './users.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-broker-'));
after(() => rmSync(root, { recursive: true }));

describe('access control', () => {
  const level = fc.constantFrom('a', 'b', 'c');
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((l) => l.join('/'));
  const filter = fc
    .tuple(fc.array(fc.constantFrom('a', 'b', '+'), { minLength: 0, maxLength: 4 }), fc.boolean())
    .map(([levels, all]) => [...levels, ...(all ? ['#'] : [])].join('/'))
    .filter((f) => f !== '');

  /** Whether a topic matches a filter, by the words of MQTT 3.1.1, section 4.7. */
  const matches = (f: string, t: string): boolean => {
    const pattern = f.split('/').map((l) => (l === '+' ? '[^/]+' : l === '#' ? '.*' : l));
    const text = pattern.join('/').replace(/\/\.\*$/, '(/.*)?');
    return new RegExp(`^${text}$`).test(t);
  };

  test('a pattern covers a topic where the filter matches it', () => {
    fc.assert(
      fc.property(filter, topic, (f, t) => {
        // A pattern "a/#" gives "a" too when it is asked as a topic.
        const parent = f.endsWith('/#') && t === f.slice(0, -2);
        assert.equal(covers(f, t) || parent, matches(f, t));
      }),
    );
  });

  test('a filter that is covered matches nothing that the pattern does not', () => {
    fc.assert(
      fc.property(filter, filter, topic, (pattern, wanted, t) => {
        if (covers(pattern, wanted) && matches(wanted, t)) assert.ok(matches(pattern, t), `${pattern} ${wanted} ${t}`);
      }),
    );
  });

  const of = (name: string, user: string, fleet = 'f'): Role => rightsOf(ROLES[name] as Role, { user, fleet });
  test('an edge writes its own topics and no other edge’s, and reads models and its receipts', () => {
    const edge = of('edge', 'e1');
    for (const t of ['edge/e1/status', 'edge/e1/update/m', 'edge/e1/infer/m/result'])
      assert.ok(mayPublish(edge, `ecavg/v1/f/${t}`), t);
    for (const t of [
      'edge/e2/status',
      'edge/e2/update/m',
      'model/m/manifest',
      'edge/e1/receipt/m',
      'edge/e1/update/m/x',
    ])
      assert.ok(!mayPublish(edge, `ecavg/v1/f/${t}`), t);
    assert.ok(!mayPublish(edge, 'ecavg/v1/g/edge/e1/status'));
    for (const t of ['model/m/manifest', 'model/m/chunk/abc/+', 'edge/e1/receipt/m', 'edge/e1/receipt/+'])
      assert.ok(maySubscribe(edge, `ecavg/v1/f/${t}`), t);
    for (const t of [
      '#',
      'ecavg/v1/f/#',
      'ecavg/v1/f/edge/+/receipt/m',
      'ecavg/v1/f/edge/e2/receipt/m',
      '$SYS/#',
      '+/v1/f/model/#',
    ])
      assert.ok(!maySubscribe(edge, t), t);
    assert.ok(!maySubscribe(edge, '$share/g/ecavg/v1/f/edge/+/update/+'));
  });
  test('sensors, monitors, clouds, admins', () => {
    assert.ok(maySubscribe(of('sensor', 's'), 'ecavg/v1/f/model/m/onnx'));
    assert.ok(mayPublish(of('sensor', 's'), 'ecavg/v1/f/sensor/s/temperature'));
    assert.ok(!mayPublish(of('sensor', 's'), 'ecavg/v1/f/sensor/other/temperature'));
    assert.ok(maySubscribe(of('monitor', 'm'), '$SYS/broker/#') && !mayPublish(of('monitor', 'm'), 'ecavg/v1/f/x'));
    assert.ok(
      maySubscribe(of('cloud', 'c'), 'ecavg/v1/f/edge/+/+/+') &&
        !mayPublish(of('cloud', 'c'), 'ecavg/v1/g/model/m/round'),
    );
    assert.ok(mayPublish(of('cloud', 'c', '*'), 'ecavg/v1/any/model/m/round'));
    assert.ok(mayPublish(of('admin', 'a'), 'anything/at/all') && maySubscribe(of('admin', 'a'), '#'));
  });
  test('a name that could widen a pattern has no rights', () => {
    for (const user of ['+', '#', 'a/b', ''])
      assert.deepEqual(rightsOf(ROLES.edge as Role, { user, fleet: 'f' }), { publish: [], subscribe: [] });
    assert.deepEqual(rightsOf(ROLES.edge as Role, { user: 'e', fleet: '+' }), { publish: [], subscribe: [] });
  });
});

describe('passwords and users', () => {
  test('a hash fits its password alone, and is salted', async () => {
    const [a, b] = [await hashPassword('correct horse'), await hashPassword('correct horse')];
    assert.notEqual(a, b);
    assert.ok(await isPassword('correct horse', a));
    for (const [password, hash] of [
      ['wrong', a],
      ['', a],
      ['correct horse', 'scrypt$0$0$0$$'],
      ['x', 'garbage'],
    ] as const)
      assert.equal(await isPassword(password, hash), false);
  });

  test('a one-time token sets a password once; the pair goes on as the password, and the file holds neither', async () => {
    const users = await Users.open(join(root, 'users.json'));
    const token = await users.giveToken('e1', { role: 'edge', fleet: 'f', certificate: false }, Date.now() + 60_000);
    assert.equal(await users.check('e1', token), false);
    assert.equal(await users.check('e1', 'wrong-token:a-long-password'), false);
    assert.equal(await users.check('e1', `${token}:short`), false);
    assert.equal(await users.check('e1', `${token}:a-long-password`), true);
    for (const words of [`${token}:a-long-password`, 'a-long-password'])
      assert.equal(await users.check('e1', words), true);
    assert.equal(await users.check('e1', `${token}:another-password`), false);
    const again = await Users.open(users.path);
    assert.equal(await again.check('e1', 'a-long-password'), true);
    assert.ok(!JSON.stringify(again.file).includes('a-long-password') && !JSON.stringify(again.file).includes(token));
    const late = await users.giveToken('e2', { role: 'edge', fleet: 'f', certificate: false }, Date.now() - 1);
    assert.equal(await users.check('e2', `${late}:a-long-password`), false);
    assert.equal(await users.check('nobody', 'x'), false);
    await assert.rejects(users.setPassword('a/b', { role: 'edge', fleet: 'f', certificate: false }), ConfigError);
    assert.equal(await users.remove('e1'), true);
    assert.equal(await users.check('e1', 'a-long-password'), false);
  });
});

describe('files of other releases', () => {
  const newer = '{ "format": 2, "people": {} }';

  test('users of a later release are refused by name; who has read them before goes on with what was known', async () => {
    const path = join(root, 'newer-users.json');
    const refused = (e: unknown): boolean =>
      e instanceof NewerFormatError && e.message.startsWith(`${path} (users of the broker) has format 2`);
    const users = await Users.open(path);
    await users.set('a', { role: 'edge', fleet: 'f', certificate: true });
    writeFileSync(path, newer);
    await assert.rejects(users.reload(), refused);
    assert.ok(users.get('a'));
    await assert.rejects(Users.open(path), refused);
    assert.equal(readFileSync(path, 'utf8'), newer);
  });

  test('the folder of a later release or of another daemon is refused before the database is opened', async () => {
    const folders: [string, string, RegExp][] = [
      ['ecavg.json', newer, /ecavg\.json \(data folder\) has format 2/],
      ['session', '1', /is the data folder of a gateway, not of a broker/],
    ];
    for (const [i, [file, text, why]] of folders.entries()) {
      const dataDir = join(root, `refused-${i}`);
      mkdirSync(dataDir);
      writeFileSync(join(dataDir, file), text);
      const { persistence } = brokerConfigSchema.parse({ persistence: { kind: 'disk', dataDir } });
      await assert.rejects(openBackend({ persistence }), (e) => e instanceof ConfigError && why.test(e.message));
      assert.deepEqual(readdirSync(dataDir), [file]);
    }
  });

  test('the folder of a broker says so, and holds its database', async () => {
    const dataDir = join(root, 'kept');
    const { persistence } = brokerConfigSchema.parse({ persistence: { kind: 'disk', dataDir } });
    for (let i = 0; i < 2; i++) {
      const backend = await openBackend({ persistence });
      await backend.close();
      const { format, role } = JSON.parse(readFileSync(join(dataDir, 'ecavg.json'), 'utf8'));
      assert.deepEqual([format, role], [1, 'broker']);
    }
  });
});

describe('limits', () => {
  const packet = (bytes: number): Uint8Array => {
    const length: number[] = [];
    for (let n = bytes, more = true; more; ) {
      const low = n & 127;
      n >>= 7;
      more = n > 0;
      length.push(more ? low | 128 : low);
    }
    return Uint8Array.from([0x30, ...length, ...new Uint8Array(bytes)]);
  };
  test('packets pass up to the limit however they are cut up, and a larger one is refused at its head', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 5000 }), (all, cut) => {
        const stream = Buffer.concat(all.map(packet));
        const limit = new PacketLimit(40_000);
        for (let at = 0; at < stream.length; at += cut) limit.feed(stream.subarray(at, at + cut));
        assert.throws(() => limit.feed(packet(40_001).subarray(0, 4)), /40001 bytes; the limit is 40000/);
      }),
    );
    assert.throws(() => new PacketLimit(100).feed(Uint8Array.of(0x30, 255, 255, 255, 255, 1)), /more than four bytes/);
  });

  test('a bucket gives its burst at once and then its rate', () => {
    const bucket = new Bucket(10, 5, 0);
    for (let i = 0; i < 5; i++) assert.equal(bucket.take(1, 0), 0);
    assert.equal(bucket.take(1, 0), 100);
    assert.equal(bucket.take(1, 100), 100);
    assert.equal(new Bucket(10, 5, 0).take(1, -50), 0);
  });
});

test('a long chain of packets, each begun by the one before, does not grow the stack', () => {
  const order = new InOrder();
  let ran = 0;
  const next = (n: number): void => {
    order.begin(n);
    order.run(n, () => {
      ran++;
      if (n < 100_000) next(n + 1);
    });
  };
  next(1);
  assert.equal(ran, 100_000);
});

test('what is begun runs in the order of its numbers, whenever each is ready, and what ends holds nobody up', () => {
  const cases = fc.array(fc.constantFrom('run', 'end'), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(cases, fc.infiniteStream(fc.nat()), (kinds, picks) => {
      const order = new InOrder();
      const ran: number[] = [];
      for (const n of kinds.keys()) order.begin(n);
      const left = [...kinds.keys()];
      while (left.length > 0) {
        const [n = 0] = left.splice((picks.next().value as number) % left.length, 1);
        if (kinds[n] === 'run') order.run(n, () => ran.push(n));
        else order.end(n);
      }
      assert.deepEqual(
        ran,
        [...kinds.keys()].filter((n) => kinds[n] === 'run'),
      );
      order.run(99, () => ran.push(99));
      assert.equal(ran.at(-1), 99);
    }),
  );
});

describe('settings', () => {
  const refused = (tree: object, pattern: RegExp): void => {
    const result = brokerConfigSchema.safeParse(tree);
    assert.ok(!result.success);
    assert.match(result.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('\n'), pattern);
  };
  test('nothing listens to the network without users, TLS needs certificates, disk a folder', () => {
    refused({ listen: { host: '0.0.0.0' } }, /listen\.host: without users/);
    refused({ tls: { host: '0.0.0.0' } }, /tls\.host/);
    refused({ tls: {} }, /certificates: tls needs/);
    refused({ persistence: { kind: 'disk' } }, /persistence\.dataDir/);
    refused({ persistence: { kind: 'redis' } }, /persistence\.redisUrl/);
    refused({ listen: { enabled: false } }, /no listener is left/);
    assert.ok(brokerConfigSchema.safeParse({ listen: { host: '0.0.0.0' }, usersFile: 'u.json' }).success);
  });
});
