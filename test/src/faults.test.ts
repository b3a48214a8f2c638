import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Random } from '@ecavg/models';
import type { Child } from 'ecavg';
import { checkInvariants } from './chain.js';
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
