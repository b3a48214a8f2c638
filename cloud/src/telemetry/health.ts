import { statfs } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Logger, MqttClient } from '@ecavg/runtime';
import { finiteFields, type Point, type TelemetrySink } from './points.js';

const SYS = '$SYS/broker/';

/** Figures of the broker that are worth a series, by the topics that mosquitto made common. */
const FIGURES: Readonly<Record<string, string>> = {
  uptime: 'uptime_seconds',
  'clients/connected': 'clients',
  'messages/received': 'messages_received',
  'messages/sent': 'messages_sent',
  'bytes/received': 'bytes_received',
  'bytes/sent': 'bytes_sent',
  'load/refused': 'refused',
};

/** What a broker tells of itself, where it does and lets the cloud hear it. */
export class BrokerFigures {
  readonly #values = new Map<string, number>();

  constructor(client: MqttClient, log: Logger) {
    client.on('message', (topic, payload) => this.#take(topic, payload));
    const subscribe = (): void => {
      client.subscribe(`${SYS}#`, { qos: 0 }, (error, granted) => {
        if (error || granted?.some((g) => g.qos >= 128)) log.debug('the broker does not tell its figures');
      });
    };
    client.on('connect', subscribe);
    if (client.connected) subscribe();
  }

  #take(topic: string, payload: Uint8Array): void {
    if (!topic.startsWith(SYS)) return;
    const field = FIGURES[topic.slice(SYS.length)];
    // mosquitto writes "17 seconds".
    const value = Number.parseFloat(Buffer.from(payload).toString('utf8'));
    if (field && Number.isFinite(value)) this.#values.set(field, value);
  }

  /** The newest of each; empty where the broker tells nothing. */
  get fields(): Record<string, number> {
    return Object.fromEntries(this.#values);
  }
}

/** Writes how this process, its disk and the fleets' brokers are, at regular times. Returns the way to stop. */
export function watchHealth(
  telemetry: TelemetrySink,
  dataDir: string,
  brokers: ReadonlyMap<string, BrokerFigures>,
  everySeconds: number,
): () => void {
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  let before = { cpu: process.cpuUsage(), at: performance.now() };
  const tell = async (): Promise<void> => {
    const now = { cpu: process.cpuUsage(), at: performance.now() };
    const used = now.cpu.user + now.cpu.system - before.cpu.user - before.cpu.system;
    const cpu = used / 1000 / (now.at - before.at);
    before = now;
    const { bavail, blocks, bsize } = await statfs(dataDir);
    const at = Date.now();
    const points: Point[] = [
      {
        measurement: 'ecavg_process',
        tags: { role: 'cloud' },
        fields: finiteFields({
          memory_bytes: process.memoryUsage.rss(),
          cpu_cores: cpu,
          event_loop_delay_ms: lag.percentile(99) / 1e6,
          disk_free_bytes: bavail * bsize,
          disk_free_share: bavail / Math.max(1, blocks),
          uptime_seconds: process.uptime(),
        }),
        at,
      },
    ];
    lag.reset();
    for (const [fleet, { fields }] of brokers)
      if (Object.keys(fields).length > 0) points.push({ measurement: 'ecavg_broker', tags: { fleet }, fields, at });
    telemetry.write(points);
  };
  const run = (): void => void tell().catch(() => undefined);
  const first = setTimeout(run, Math.min(2000, everySeconds * 1000));
  const timer = setInterval(run, everySeconds * 1000);
  return () => {
    clearTimeout(first);
    clearInterval(timer);
    lag.disable();
  };
}
