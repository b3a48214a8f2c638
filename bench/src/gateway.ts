import { setTimeout as sleep } from 'node:timers/promises';
import { loadDataSet } from '@ecavg/models';
import { Topics } from '@ecavg/protocol';
import { sendAtOnce } from '@ecavg/runtime';
import { Watcher } from 'ecavg';
import mqtt from 'mqtt';
import { Daemons, LONGEST_MS, usage } from './processes.js';
import { table } from './table.js';

const FLEET = 'bench';

const GATEWAY_CASES = {
  'mlp, digits': { architecture: 'mlp', dataset: 'mnist', partition: 'dirichlet' },
  'sensor-cnn1d, vibration': { architecture: 'sensor-cnn1d', dataset: 'vibration', partition: 'by-site' },
  'mlp, half duty cycle': { architecture: 'mlp', dataset: 'mnist', partition: 'dirichlet', power: { dutyCycle: 0.5 } },
  'mlp, no inference': { architecture: 'mlp', dataset: 'mnist', partition: 'dirichlet', infer: { enabled: false } },
} as const;

export interface GatewayOptions {
  readonly seconds: number;
  readonly json: boolean;
}

interface Phase {
  readonly rssMb: number;
  /** Share of one core. */
  readonly cpu: number;
  /** Of requests for inference, ten at a time; undefined where there is no such service. */
  readonly medianMs: number | undefined;
  readonly p95Ms: number | undefined;
}

export interface GatewayRow {
  readonly name: string;
  readonly idle: Phase;
  readonly training: Phase;
  readonly peakMb: number;
}

/** Asks a gateway, some requests a second, and measures from the request to its result. */
class Sensor {
  readonly #asked = new Map<string, number>();
  #latencies: number[] = [];
  #n = 0;

  private constructor(
    private readonly client: mqtt.MqttClient,
    private readonly topic: string,
    private readonly x: number[],
  ) {
    client.on('message', (_t, payload) => {
      const at = this.#asked.get(String((JSON.parse(String(payload)) as { id: string }).id));
      if (at !== undefined) this.#latencies.push(performance.now() - at);
    });
  }

  static async connect(url: string, model: string, x: number[]): Promise<Sensor> {
    const topics = new Topics(FLEET);
    const client = await mqtt.connectAsync(url, { protocolVersion: 4 });
    sendAtOnce(client);
    await client.subscribeAsync(topics.infer('gateway', model, 'result'), { qos: 1 });
    return new Sensor(client, topics.infer('gateway', model, 'request'), x);
  }

  ask(): void {
    const id = String(this.#n++);
    this.#asked.set(id, performance.now());
    this.client.publish(this.topic, JSON.stringify({ id, x: this.x }), { qos: 1 });
  }

  take(): number[] {
    const latencies = this.#latencies.sort((a, b) => a - b);
    this.#latencies = [];
    return latencies;
  }

  async close(): Promise<void> {
    await this.client.endAsync(true);
  }
}

async function phase(pid: number, seconds: number, sensor: Sensor | undefined): Promise<Phase> {
  sensor?.take();
  const before = usage(pid);
  const began = performance.now();
  const asking = sensor && setInterval(() => sensor.ask(), 100);
  await sleep(seconds * 1000);
  clearInterval(asking);
  const after = usage(pid);
  const latencies = sensor?.take() ?? [];
  const at = (share: number): number | undefined => latencies[Math.floor(share * latencies.length)];
  return {
    rssMb: after.rssMb,
    cpu: (after.cpuSeconds - before.cpuSeconds) / ((performance.now() - began) / 1000),
    medianMs: at(0.5),
    p95Ms: at(0.95),
  };
}

async function measureGateway(name: keyof typeof GATEWAY_CASES, seconds: number): Promise<GatewayRow> {
  const { architecture, dataset, partition, ...more } = GATEWAY_CASES[name];
  const daemons = new Daemons();
  let sensor: Sensor | undefined;
  let events: Watcher | undefined;
  try {
    const broker = await daemons.start('broker', 'broker', { listen: { port: 0 } });
    const url = String(broker.ready.url);
    const data = { dataset, partition, gateways: 4 };
    const cloud = await daemons.start('cloud', 'cloud', {
      fleet: FLEET,
      dataDir: `${daemons.folder}/cloud`,
      broker: { url },
      http: { port: 0, anonymous: 'viewer' },
      model: { id: 'm', architecture },
      data,
      // The second round is the one that is measured: it lasts for as long as is measured.
      rounds: {
        count: 2,
        intervalSeconds: seconds + 3,
        pretrainEpochs: 1,
        epochs: 10_000,
        deadlineSeconds: 2 * seconds,
        settleSeconds: 0,
      },
    });
    events = new Watcher(String(cloud.ready.dashboard));
    const edge = { fleet: FLEET, edge: 'gateway', model: 'm', dataDir: `${daemons.folder}/edge`, broker: { url } };
    const gateway = await daemons.start('edge', 'edge', { ...edge, data: { ...data, index: 0 }, ...more });
    const pid = gateway.process.pid ?? 0;
    await events.until('round-closed', (d) => d.round === 1, LONGEST_MS);
    if (!('infer' in more)) {
      const set = loadDataSet(dataset, { sites: 4, seed: 1 });
      const x = new Float32Array(set.shape.reduce((a, d) => a * d, 1));
      set.read(0, x, 0);
      sensor = await Sensor.connect(url, 'm', [...x]);
    }
    const idle = await phase(pid, seconds, sensor);
    await events.until('round-opened', (d) => d.round === 2, LONGEST_MS);
    // Past the first steps.
    await sleep(1000);
    const training = await phase(pid, seconds, sensor);
    return { name, idle, training, peakMb: usage(pid).peakMb };
  } finally {
    events?.close();
    await sensor?.close();
    await daemons.stop();
  }
}

/** What a gateway takes of its machine while it waits and while it trains, answering ten requests a second. */
export async function benchGateway({ seconds, json }: GatewayOptions): Promise<void> {
  const rows: GatewayRow[] = [];
  for (const name of Object.keys(GATEWAY_CASES) as (keyof typeof GATEWAY_CASES)[]) {
    if (!json) process.stderr.write(`${name} ...\n`);
    rows.push(await measureGateway(name, seconds));
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ bench: 'gateway', seconds, rows })}\n`);
    return;
  }
  const f = (v: number | undefined, d = 1): string => (v === undefined ? '-' : v.toFixed(d));
  const columns = (p: Phase): string[] => [f(p.rssMb, 0), f(100 * p.cpu), f(p.medianMs), f(p.p95Ms)];
  table(
    [
      'gateway',
      'idle MB',
      '% of a core',
      'median ms',
      '95 % ms',
      'training MB',
      '% of a core',
      'median ms',
      '95 % ms',
      'peak MB',
    ],
    rows.map((r) => [r.name, ...columns(r.idle), ...columns(r.training), f(r.peakMb, 0)]),
  );
}
