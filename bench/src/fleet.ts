import { prepareArtifact, Random, zooModel } from '@ecavg/models';
import {
  codec,
  decodeMessage,
  edgeChunks,
  encodeMessage,
  encodeUpdate,
  type Layout,
  makeLayout,
  PRESETS,
  type RoundMessage,
  Signer,
  Topics,
} from '@ecavg/protocol';
import { createLogger, Downloader } from '@ecavg/runtime';
import { Watcher } from 'ecavg';
import mqtt, { type MqttClient } from 'mqtt';
import { median } from './median.js';
import { Daemons, LONGEST_MS, usage } from './processes.js';
import { table } from './table.js';

const FLEET = 'bench';
const MODEL = 'digits';
const SHAPE = [1, 28, 28];
/** Gateways that begin to connect at the same time. */
const AT_ONCE = 50;

export interface FleetOptions {
  readonly edges: readonly number[];
  readonly rounds: number;
  readonly json: boolean;
}

export interface FleetRow {
  readonly edges: number;
  /** From the first connection to the last gateway that has version 1. */
  readonly joinSeconds: number;
  /** Of the rounds after the first: from opening to the new version, with gateways that need no time to train. */
  readonly roundSeconds: readonly number[];
  readonly medianRoundSeconds: number;
  /** Until every gateway has the new version, from its round's opening. */
  readonly deliveredSeconds: number;
  readonly updatesPerSecond: number;
  readonly updateBytes: number;
  readonly brokerPeakMb: number;
  readonly cloudPeakMb: number;
  /** CPU time of broker and cloud in all rounds. */
  readonly brokerCpuSeconds: number;
  readonly cloudCpuSeconds: number;
}

/** The parts of an update that all gateways have in common. */
interface Made {
  readonly layout: Layout;
  readonly payload: Uint8Array;
}

async function make(): Promise<Made> {
  const artifact = await prepareArtifact(zooModel('mlp', { input: SHAPE, classes: 10, seed: 1 }), {
    loss: 'cross-entropy',
    batch: 1,
    sample: SHAPE,
  });
  const layout = makeLayout(artifact.layout.tensors.map(({ name, shape }) => ({ name, shape })));
  const random = new Random(1, 'bench/fleet');
  const delta = Float32Array.from({ length: layout.total }, () => 0.001 * random.normal() * random.normal() ** 2);
  return { layout, payload: codec('range').encode(delta, layout, { ...PRESETS.balanced, temporal: 0 }) };
}

/** A gateway that answers every round at once with the same difference, over a connection of its own. */
class Gateway {
  readonly #topics = new Topics(FLEET);
  readonly #signer = Signer.generate();
  readonly #downloads: Downloader;
  #done = 0;
  bytes = 0;

  private constructor(
    private readonly name: string,
    private readonly client: MqttClient,
    private readonly made: Made,
    private readonly got: (version: number) => void,
  ) {
    const log = createLogger('bench', { level: 'silent', format: 'json' });
    this.#downloads = new Downloader(client, this.#topics, MODEL, log);
    client.on('message', (topic, payload) => this.#message(topic, payload));
  }

  static async connect(url: string, name: string, made: Made, got: (version: number) => void): Promise<Gateway> {
    const client = await mqtt.connectAsync(url, { clientId: name, clean: false, protocolVersion: 4 });
    const gateway = new Gateway(name, client, made, got);
    const topics = new Topics(FLEET);
    await client.subscribeAsync([topics.manifest(MODEL), topics.round(MODEL), topics.receipt(name, MODEL)], { qos: 1 });
    const body = {
      edge: name,
      online: true,
      session: Date.now(),
      software: 'bench',
      samples: 100,
      models: { [MODEL]: 0 },
    };
    const status = Buffer.from(encodeMessage('status', body));
    await client.publishAsync(topics.status(name), status, { qos: 1, retain: true });
    return gateway;
  }

  #message(topic: string, payload: Uint8Array): void {
    if (this.#downloads.accept(topic, payload)) return;
    if (topic === this.#topics.manifest(MODEL)) void this.#version(payload);
    else if (topic === this.#topics.round(MODEL)) this.#round(decodeMessage('round', payload));
  }

  async #version(payload: Uint8Array): Promise<void> {
    const manifest = decodeMessage('manifest', payload);
    await this.#downloads.fetch(manifest.difference ?? manifest.infer, new AbortController().signal);
    this.got(manifest.version);
  }

  #round({ round, state, base }: RoundMessage): void {
    if (state !== 'open' || round <= this.#done) return;
    this.#done = round;
    const { layout, payload } = this.made;
    const about = { fleet: FLEET, edge: this.name, model: MODEL, round, base: base.sha256 };
    const header = {
      ...about,
      codec: 'range',
      layout: layout.hash,
      samples: 100,
      steps: 10,
      createdAt: Date.now(),
      metrics: {},
    };
    const blob = encodeUpdate(header, payload, this.#signer);
    this.bytes = blob.length;
    for (const chunk of edgeChunks(blob, { edge: this.name, model: MODEL, round, base: base.sha256 }))
      this.client.publish(this.#topics.update(this.name, MODEL), Buffer.from(encodeMessage('update', chunk)), {
        qos: 1,
      });
  }

  async close(): Promise<void> {
    await this.client.endAsync(true);
  }
}

/** Waits for the moment at which every gateway has a version. */
class Deliveries {
  readonly #counts = new Map<number, number>();
  readonly #waiting = new Map<number, (at: number) => void>();
  constructor(private readonly edges: number) {}

  got(version: number): void {
    const count = (this.#counts.get(version) ?? 0) + 1;
    this.#counts.set(version, count);
    if (count === this.edges) this.#waiting.get(version)?.(performance.now());
  }

  all(version: number): Promise<number> {
    if (this.#counts.get(version) === this.edges) return Promise.resolve(performance.now());
    return new Promise((done) => this.#waiting.set(version, done));
  }
}

async function measureFleet(edges: number, rounds: number, made: Made): Promise<FleetRow> {
  const daemons = new Daemons();
  const gateways: Gateway[] = [];
  let events: Watcher | undefined;
  try {
    const limits = { connectsPerSecondPerAddress: 1e6, connectionsPerAddress: 100_000 };
    const broker = await daemons.start('broker', 'broker', { listen: { port: 0 }, maxConnections: 100_000, limits });
    const url = String(broker.ready.url);
    const cloud = await daemons.start('cloud', 'cloud', {
      fleet: FLEET,
      dataDir: `${daemons.folder}/cloud`,
      broker: { url },
      http: { port: 0, anonymous: 'viewer' },
      model: { id: MODEL },
      data: { gateways: 2 },
      rounds: { count: rounds, intervalSeconds: 0, minEdges: edges, quorum: 1, deadlineSeconds: 600, settleSeconds: 0 },
    });
    events = new Watcher(String(cloud.ready.dashboard));
    const deliveries = new Deliveries(edges);
    const began = performance.now();
    for (let from = 0; from < edges; from += AT_ONCE) {
      const names = Array.from({ length: Math.min(AT_ONCE, edges - from) }, (_, i) => `gateway-${from + i}`);
      const some = names.map((name) => Gateway.connect(url, name, made, (v) => deliveries.got(v)));
      gateways.push(...(await Promise.all(some)));
    }
    const joinSeconds = ((await deliveries.all(1)) - began) / 1000;
    const [brokerPid, cloudPid] = [broker.process.pid ?? 0, cloud.process.pid ?? 0];
    const before = [usage(brokerPid), usage(cloudPid)];
    const seconds: number[] = [];
    const delivered: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      await events.until('round-opened', (d) => d.round === round, LONGEST_MS);
      const opened = performance.now();
      const { data } = await events.until('round-closed', (d) => d.round === round, LONGEST_MS);
      seconds.push(data.seconds as number);
      // A round that the guard refuses makes no version.
      if (data.version === round + 1) delivered.push(((await deliveries.all(round + 1)) - opened) / 1000);
    }
    const after = [usage(brokerPid), usage(cloudPid)];
    const used = (i: 0 | 1): number => (after[i]?.cpuSeconds ?? 0) - (before[i]?.cpuSeconds ?? 0);
    const later = seconds.slice(1);
    return {
      edges,
      joinSeconds,
      roundSeconds: later,
      medianRoundSeconds: median(later),
      deliveredSeconds: median(delivered.slice(1)),
      updatesPerSecond: edges / median(later),
      updateBytes: gateways[0]?.bytes ?? 0,
      brokerPeakMb: after[0]?.peakMb ?? 0,
      cloudPeakMb: after[1]?.peakMb ?? 0,
      brokerCpuSeconds: used(0),
      cloudCpuSeconds: used(1),
    };
  } finally {
    events?.close();
    await Promise.all(gateways.map((g) => g.close()));
    await daemons.stop();
  }
}

/** Rounds of many gateways that need no time to train: what is left is what the system itself takes. */
export async function benchFleet({ edges, rounds, json }: FleetOptions): Promise<void> {
  const made = await make();
  const rows: FleetRow[] = [];
  for (const n of edges) {
    if (!json) process.stderr.write(`${n} gateways, ${rounds} rounds ...\n`);
    rows.push(await measureFleet(n, rounds, made));
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ bench: 'fleet', model: 'mlp', parameters: made.layout.total, rows })}\n`);
    return;
  }
  const f = (v: number, d = 1): string => v.toFixed(d);
  table(
    [
      'gateways',
      'join s',
      'round s',
      'with the new version s',
      'updates/s',
      'update kB',
      'broker MB',
      'cloud MB',
      'broker CPU s',
      'cloud CPU s',
    ],
    rows.map((r) => [
      String(r.edges),
      f(r.joinSeconds),
      f(r.medianRoundSeconds, 2),
      f(r.deliveredSeconds, 2),
      f(r.updatesPerSecond, 0),
      f(r.updateBytes / 1000),
      f(r.brokerPeakMb, 0),
      f(r.cloudPeakMb, 0),
      f(r.brokerCpuSeconds),
      f(r.cloudCpuSeconds),
    ]),
  );
}
