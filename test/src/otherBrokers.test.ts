import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { findProgram, freePort, kill, TestFleet } from './harness.js';

const redis = findProgram('redis-server');
const nats = findProgram('nats-server');

/** A server started for a test, in a folder of its own. */
class Server {
  readonly folder = mkdtempSync(join(tmpdir(), 'ecavg-server-'));
  #child: ChildProcess | undefined;

  /** Starts the program and resolves when what it prints matches. */
  async start(path: string, args: readonly string[], up: RegExp): Promise<void> {
    const child = spawn(path, args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      let said = '';
      const look = (text: Buffer): void => {
        said += text.toString();
        if (up.test(said)) resolve();
      };
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      child.once('exit', () => reject(new Error(`${path} did not start: ${said.slice(-1000)}`)));
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function withFleet(gateways: number, body: (fleet: TestFleet, server: Server) => Promise<void>): Promise<void> {
  const [fleet, server] = [new TestFleet(gateways), new Server()];
  try {
    await body(fleet, server);
  } finally {
    await fleet.stop();
    await server.stop();
  }
}

describe('two brokers of ours on one Redis', { skip: 'skip' in redis && redis.skip }, () => {
  test('edges at one node, the cloud and an edge at the other; one node is killed and its edges go on at the other', () =>
    withFleet(3, async (fleet, server) => {
      assert.ok('path' in redis);
      const port = await freePort();
      const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
      await server.start(redis.path, args, /Ready to accept connections/);
      const persistence = { kind: 'redis', redisUrl: `redis://127.0.0.1:${port}` };
      const [a, b] = await Promise.all(
        ['a', 'b'].map((name) => fleet.daemon(`broker-${name}`, 'broker', { listen: { port: 0 }, persistence })),
      );
      assert.ok(a && b);
      const at = (child: typeof a) => ({ url: String(child.ready.url), reconnectSeconds: 0.2 });
      fleet.brokerUrl = String(b.ready.url);
      const { events } = await fleet.cloud({ rounds: { count: 2, quorum: 1 }, broker: at(b) });
      await Promise.all([
        fleet.edge(0, { broker: at(a) }),
        fleet.edge(1, { broker: at(a) }),
        fleet.edge(2, { broker: at(b) }),
      ]);
      const first = await events.until('round-closed', (d) => d.round === 1);
      assert.deepEqual((first.data.accepted as string[]).sort(), ['edge-0', 'edge-1', 'edge-2']);
      await kill(a);
      await fleet.daemon('broker-a', 'broker', { listen: { port: Number(a.ready.port) }, persistence });
      const second = await events.until('round-closed', (d) => d.round === 2);
      assert.equal((second.data.accepted as string[]).length, 3);
    }));

  test('without Redis the broker says so and does not start', () =>
    withFleet(1, async (fleet) => {
      const redisUrl = `redis://127.0.0.1:${await freePort()}`;
      const config = { listen: { port: 0 }, persistence: { kind: 'redis', redisUrl } };
      await assert.rejects(fleet.daemon('broker', 'broker', config), /does not answer/);
    }));
});

describe('no broker of ours: NATS', { skip: 'skip' in nats && nats.skip }, () => {
  test('the whole system on nats-server with its MQTT listener', () =>
    withFleet(2, async (fleet, server) => {
      assert.ok('path' in nats);
      const [port, client] = [await freePort(), await freePort()];
      const file = join(server.folder, 'nats.conf');
      writeFileSync(
        file,
        `server_name: ecavg\nhost: 127.0.0.1\nport: ${client}\njetstream { store_dir: "${server.folder}/js" }\nmqtt { host: 127.0.0.1, port: ${port}, max_ack_pending: 100 }\n`,
      );
      await server.start(nats.path, ['-c', file], /Server is ready/);
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.destroy();
      fleet.brokerUrl = `mqtt://127.0.0.1:${port}`;
      const { events } = await fleet.cloud({ rounds: { count: 2, quorum: 1 }, publish: { wholeBytes: 500_000 } });
      await Promise.all([fleet.edge(0), fleet.edge(1)]);
      await events.until('finished');
      for (const e of events.seen.filter((e) => e.type === 'round-closed'))
        assert.deepEqual((e.data.accepted as string[]).sort(), ['edge-0', 'edge-1']);
      assert.deepEqual((await fleet.state()).wire.rejected, {});
    }));
});
