import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Random } from '@ecavg/models';
import type { Child } from 'ecavg';
import { checkInvariants, logOf } from './chain.js';
import { type Chaos, ChaosProxy } from './chaosProxy.js';
import { freePort, kill, type TestFleet, type Watcher, withFleet } from './harness.js';

const EDGES = ['edge-0', 'edge-1', 'edge-2'];

/** Moments at which something is under way. */
const MOMENTS = ['round-opened', 'accepted', 'report', 'round-closed', 'edge'] as const;

/** A fleet of three gateways whose parts can be killed and come back, with a broker that keeps its state on disk. */
class Fragile {
  #broker: Child | undefined;
  #cloud: { child: Child; events: Watcher } | undefined;
  readonly #edges = new Map<number, Child>();
  /** Newest round that was waited for. */
  #round = 0;

  private constructor(
    private readonly fleet: TestFleet,
    private readonly port: number,
    private readonly settings: { cloud: Record<string, unknown>; edge: Record<string, unknown> },
  ) {}

  static async start(
    fleet: TestFleet,
    cloud: Record<string, unknown>,
    edge: Record<string, unknown>,
  ): Promise<Fragile> {
    const made = new Fragile(fleet, await freePort(), { cloud, edge });
    await made.#startBroker();
    await made.#startCloud();
    for (const i of EDGES.keys()) await made.#startEdge(i);
    return made;
  }

  get events(): Watcher {
    assert.ok(this.#cloud);
    return this.#cloud.events;
  }

  async #startBroker(): Promise<void> {
    this.#broker = await this.fleet.daemon('broker', 'broker', {
      listen: { port: this.port },
      persistence: { kind: 'disk', dataDir: join(this.fleet.folder, 'broker') },
    });
    this.fleet.brokerUrl = `mqtt://127.0.0.1:${this.port}`;
  }

  async #startCloud(): Promise<void> {
    this.#cloud = await this.fleet.cloud(this.settings.cloud);
  }

  async #startEdge(i: number): Promise<void> {
    this.#edges.set(i, await this.fleet.edge(i, this.settings.edge));
  }

  /** kill -9, and a new start. */
  async strike(victim: number): Promise<string> {
    if (victim === 0) {
      if (this.#broker) await kill(this.#broker);
      await this.#startBroker();
      return 'broker';
    }
    if (victim === 1) {
      this.#cloud?.events.close();
      if (this.#cloud) await kill(this.#cloud.child);
      await this.#startCloud();
      return 'cloud';
    }
    const i = victim - 2;
    const edge = this.#edges.get(i);
    if (edge) await kill(edge);
    await this.#startEdge(i);
    return `edge-${i}`;
  }

  /** Resolves when a round has closed after the one before. */
  async nextRound(): Promise<void> {
    const { data } = await this.events.until('round-closed', (d) => (d.round as number) > this.#round);
    this.#round = data.round as number;
  }
}

describe('kill -9 at random moments', () => {
  // Five fleets of different making, ten seeds each.
  const fleets: { name: string; cloud?: Record<string, unknown>; edge?: Record<string, unknown> }[] = [
    { name: 'as it comes' },
    { name: 'without loss, with reference to the last update', cloud: { codec: { preset: 'lossless' } } },
    {
      name: 'median and FedAdam, tight codec',
      cloud: {
        strategy: { combiner: 'median', server: { name: 'fedadam', learningRate: 0.01 } },
        codec: { preset: 'tight' },
      },
    },
    { name: 'a trial before each version', cloud: { canary: { share: 0.4, waitSeconds: 5, minReports: 1 } } },
    {
      name: 'a convolutional network in many chunks',
      cloud: { model: { id: 'digits', architecture: 'cnn-small' } },
      edge: { adopt: { policy: 'blend' } },
    },
  ];
  for (const [n, { name, cloud = {}, edge = {} }] of fleets.entries())
    test(`seeds ${n * 10} to ${n * 10 + 9}: ${name}`, () =>
      withFleet(EDGES.length, async (fleet) => {
        const rounds = { count: 0, quorum: 0.6, deadlineSeconds: 20, settleSeconds: 3, pretrainEpochs: 2, epochs: 1 };
        const fragile = await Fragile.start(fleet, { rounds, fineTune: { epochs: 1 }, ...cloud }, edge);
        await fragile.nextRound();
        for (let seed = n * 10; seed < n * 10 + 10; seed++) {
          const random = new Random(seed, 'faults');
          const moment = MOMENTS[random.int(MOMENTS.length)];
          assert.ok(moment);
          const before = fragile.events.seen.length;
          await fragile.events.until(moment, () => fragile.events.seen.length > before);
          // A random moment is what this is about.
          await new Promise((done) => setTimeout(done, random.int(400)));
          await fragile.strike(random.int(2 + EDGES.length));
          await fragile.nextRound();
        }
        await fleet.processes.stop();
        const { rounds: closed, updates } = checkInvariants(fleet, EDGES);
        assert.ok(closed >= 8 && updates >= 20, `${closed} rounds, ${updates} updates`);
      }));
});

describe('a network that does not behave', () => {
  const networks: [string, Chaos][] = [
    ['slow and lossy', { delayMs: 30, loss: 0.05, stallMs: 400 }],
    ['breaks again and again, in the middle of packets', { breaks: 0.05 }],
    ['messages in another order, and twice', { shuffle: true }],
  ];
  for (const [name, chaos] of networks)
    test(name, () =>
      withFleet(EDGES.length, async (fleet) => {
        const broker = await fleet.broker();
        const proxy = await new ChaosProxy(Number(broker.ready.port), chaos, 7).start();
        try {
          const { events } = await fleet.cloud({
            model: { id: 'digits', architecture: 'cnn-small' },
            codec: { preset: 'lossless' },
            rounds: { count: 3, quorum: 1, deadlineSeconds: 60, pretrainEpochs: 1, epochs: 1 },
          });
          const transfer = { chunkBytes: 8192 };
          const url = proxy.url;
          for (const i of EDGES.keys())
            await fleet.edge(i, { broker: { url, reconnectSeconds: 0.2, keepaliveSeconds: 5, transfer } });
          await events.until('finished');
          const closed = events.seen.filter((e) => e.type === 'round-closed');
          assert.deepEqual(
            closed.map((e) => (e.data.accepted as string[]).length),
            [3, 3, 3],
          );
        } finally {
          await proxy.stop();
        }
        await fleet.processes.stop();
        checkInvariants(fleet, EDGES);
        const { stalled, broken, duplicated, reordered } = proxy.counts;
        assert.ok(stalled + broken + duplicated + reordered > 10, JSON.stringify(proxy.counts));
      }),
    );

  test('a gateway that is cut off for rounds, with its clock ten days ahead, catches up; its old update is not counted', () =>
    withFleet(EDGES.length, async (fleet) => {
      const broker = await fleet.broker();
      const proxy = await new ChaosProxy(Number(broker.ready.port), {}, 1).start();
      try {
        const { events } = await fleet.cloud({
          rounds: {
            count: 0,
            intervalSeconds: 1,
            minEdges: 2,
            quorum: 0.5,
            deadlineSeconds: 10,
            pretrainEpochs: 15,
            settleSeconds: 1,
          },
        });
        writeFileSync(
          join(fleet.folder, 'ahead.mjs'),
          'const now = Date.now; Date.now = () => now() + 10 * 86_400_000;\n',
        );
        process.env.NODE_OPTIONS = `--import ${join(fleet.folder, 'ahead.mjs')}`;
        try {
          await fleet.edge(2, {
            broker: { url: proxy.url, reconnectSeconds: 0.2, keepaliveSeconds: 1 },
            // Still at it when the network goes.
            power: { dutyCycle: 0.15 },
          });
        } finally {
          delete process.env.NODE_OPTIONS;
        }
        await fleet.edge(0);
        await fleet.edge(1);
        await events.until('round-opened');
        proxy.cut();
        await events.until('round-closed', (d) => d.round === 3);
        const missed = events.seen.filter(
          (e) => e.type === 'round-closed' && (e.data.accepted as string[]).includes('edge-2'),
        );
        assert.equal(missed.length, 0);
        // Its update of round 1 is in the outbox.
        await fleet.logged('edge-2', /"msg":"trained"/);
        proxy.heal();
        const back = await events.until(
          'round-closed',
          (d) => (d.round as number) > 3 && (d.accepted as string[]).includes('edge-2'),
        );
        assert.ok(back);
      } finally {
        await proxy.stop();
      }
      await fleet.processes.stop();
      checkInvariants(fleet, EDGES);
      assert.ok(logOf(fleet, 'edge-2').some((l) => l.msg === 'update rejected' && l.round === 1));
    }));
});

describe('a full disk, and a damaged one', () => {
  const mounted = (folder: string, size: string): boolean => {
    mkdirSync(folder, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', folder], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const fill = (folder: string): string => {
    const { bavail, bsize } = statfsSync(folder);
    const file = join(folder, 'filler');
    try {
      writeFileSync(file, Buffer.alloc(Number(bavail) * bsize));
    } catch (error) {
      // The daemon wrote something meanwhile: it is as full.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
    return file;
  };

  /** A fleet of two, one of whose daemons has a small disk, which is full from the first round on until `noticed`. */
  const fullFor = (
    context: { skip(why: string): void },
    { name, size, pretrainEpochs }: { name: string; size: string; pretrainEpochs: number },
    noticed: (fleet: TestFleet, events: Watcher) => Promise<unknown>,
  ): Promise<void> =>
    withFleet(2, async (fleet) => {
      const folder = join(fleet.folder, name);
      if (!mounted(folder, size)) return context.skip('a file system of its own takes root');
      try {
        await fleet.broker();
        const { events } = await fleet.cloud({
          rounds: { count: 2, quorum: 1, deadlineSeconds: 60, pretrainEpochs, settleSeconds: 1 },
        });
        await fleet.edge(0);
        await fleet.edge(1);
        await events.until('round-opened');
        const filler = fill(folder);
        await noticed(fleet, events);
        rmSync(filler);
        await events.until('finished');
        await fleet.processes.stop();
        assert.equal(checkInvariants(fleet, ['edge-0', 'edge-1']).updates, 4);
      } finally {
        await fleet.processes.stop();
        execFileSync('umount', [folder]);
      }
    });

  test('the cloud’s disk is full for a while: updates wait, nothing is lost', (context) =>
    fullFor(context, { name: 'cloud', size: '16m', pretrainEpochs: 5 }, (_, events) =>
      events.until('rejected', (d) => d.reason === 'storage'),
    ));

  test('a gateway’s disk is full for a while: it takes part again when there is room', (context) =>
    fullFor(context, { name: 'edge-0', size: '8m', pretrainEpochs: 20 }, (fleet) =>
      fleet.logged('edge-0', /ENOSPC|no space left/i),
    ));

  test('every file of a gateway but its key is garbage: it starts, says so, and takes part', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const { events } = await fleet.cloud({ rounds: { count: 3, quorum: 1, deadlineSeconds: 60, pretrainEpochs: 1 } });
      const gateway = await fleet.edge(0);
      await fleet.edge(1);
      await events.until('round-closed');
      await kill(gateway);
      const folder = join(fleet.folder, 'edge-0');
      const random = new Random(1, 'garbage');
      const spoilt: string[] = [];
      for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
        if (!entry.isFile() || /key|trust|session/.test(entry.name)) continue;
        const file = join(entry.parentPath ?? entry.path, entry.name);
        const { length } = readFileSync(file);
        writeFileSync(
          file,
          Uint8Array.from({ length }, () => random.int(256)),
        );
        spoilt.push(entry.name);
      }
      assert.ok(spoilt.length >= 4, spoilt.join());
      await fleet.edge(0);
      await events.until('finished');
      await fleet.processes.stop();
      checkInvariants(fleet, ['edge-0', 'edge-1']);
    }));

  test('a damaged version stops the cloud with a word on what to do', () =>
    withFleet(1, async (fleet) => {
      await fleet.broker();
      const { child, events } = await fleet.cloud({ rounds: { count: 1, pretrainEpochs: 1 } });
      await fleet.edge(0);
      await events.until('finished');
      const { versions } = await fleet.state();
      await kill(child);
      const newest = versions.at(-1)?.sha256 ?? '';
      const folder = join(fleet.folder, 'cloud', 'models', 'digits');
      const file = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((f) => f.includes(newest)) ?? '';
      const bytes = readFileSync(join(folder, file));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      writeFileSync(join(folder, file), bytes);
      await assert.rejects(fleet.cloud({}), /damaged/);
    }));
});
