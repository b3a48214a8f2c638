import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mqtt, { type MqttClient } from 'mqtt';
import { table } from './table.js';

const ECAVG = fileURLToPath(new URL('../../cli/bin/ecavg.js', import.meta.url));
const SIZES = [64, 1024, 16 * 1024, 256 * 1024];
const PAIRS = 4;

interface Running {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
}

export interface BrokerRow {
  readonly broker: string;
  /** Messages a second that arrived, from four publishers to a subscriber each. */
  readonly throughput: readonly { readonly qos: 0 | 1; readonly bytes: number; readonly perSecond: number }[];
  readonly connectsPerSecond: number;
  /** Resident memory that an idle connection adds, bytes. */
  readonly bytesPerIdleConnection: number;
  readonly idleConnections: number;
  readonly rssMb: number;
}

export interface BrokerOptions {
  readonly seconds: number;
  readonly idle: number;
  readonly json: boolean;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** Waits until what a process prints matches. */
async function started(child: ChildProcess, up: RegExp): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let said = '';
    const look = (text: Buffer): void => {
      said += text.toString();
      if (up.test(said)) resolve();
    };
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('exit', () => reject(new Error(`did not start: ${said.slice(-500)}`)));
  });
}

async function startOurs(folder: string, persistence: 'memory' | 'disk'): Promise<Running> {
  const port = await freePort();
  const file = join(folder, `ours-${persistence}.json`);
  const limits = { connectsPerSecondPerAddress: 1e6, connectionsPerAddress: 100_000 };
  const config = {
    listen: { port },
    maxConnections: 100_000,
    limits,
    persistence: { kind: persistence, dataDir: join(folder, 'data') },
  };
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(process.execPath, [ECAVG, 'broker', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  await started(child, /ready/);
  return { name: `ecavg, ${persistence}`, port, child };
}

async function startMosquitto(folder: string): Promise<Running | undefined> {
  const found = spawnSync('sh', ['-c', 'PATH=$PATH:/usr/sbin command -v mosquitto'], { encoding: 'utf8' });
  if (found.status !== 0) return undefined;
  const port = await freePort();
  const file = join(folder, 'mosquitto.conf');
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'max_queued_messages 0', 'log_dest stderr'];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = spawn(found.stdout.trim(), ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  await started(child, /running/);
  return { name: 'mosquitto', port, child };
}

const client = (port: number): Promise<MqttClient> =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0 });

/** Publishers that always have a few messages under way, for a time; counts what the subscribers get. */
async function throughput(port: number, qos: 0 | 1, bytes: number, seconds: number): Promise<number> {
  const payload = Buffer.alloc(bytes, 7);
  const window = Math.max(2, Math.min(64, Math.floor((1 << 20) / bytes)));
  const [subscribers, publishers] = [[], []] as [MqttClient[], MqttClient[]];
  let got = 0;
  let sent = 0;
  for (let i = 0; i < PAIRS; i++) {
    const s = await client(port);
    await s.subscribeAsync(`bench/${i}`, { qos });
    s.on('message', () => {
      got++;
    });
    subscribers.push(s);
    publishers.push(await client(port));
  }
  const until = performance.now() + seconds * 1000;
  const began = performance.now();
  await Promise.all(
    publishers.flatMap((p, i) =>
      Array.from({ length: window }, async () => {
        while (performance.now() < until) {
          // With QoS 0 nothing says that the broker keeps up: the subscribers do.
          if (qos === 0 && sent - got > window * PAIRS) await new Promise((r) => setImmediate(r));
          else {
            sent++;
            await p.publishAsync(`bench/${i}`, payload, { qos });
          }
        }
      }),
    ),
  );
  const rate = got / ((performance.now() - began) / 1000);
  await Promise.all([...subscribers, ...publishers].map((c) => c.endAsync(true)));
  return rate;
}

async function connects(port: number, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1000;
  let done = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() < until) {
        const c = await client(port);
        done++;
        await c.endAsync(true);
      }
    }),
  );
  return done / ((performance.now() - began) / 1000);
}

/** CONNECT with a name of its own and no keep-alive, as bytes: a whole client for each would be what is measured. */
function connectPacket(name: string): Buffer {
  const id = Buffer.from(name);
  const head = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, id.length]);
  return Buffer.concat([Buffer.from([0x10, head.length + id.length]), head, id]);
}

const rss = ({ child }: Running): number => {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
};

async function idle(broker: Running, count: number): Promise<number> {
  const before = rss(broker);
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i += 100) {
    await Promise.all(
      Array.from({ length: Math.min(100, count - i) }, async (_, k) => {
        const socket = connect(broker.port, '127.0.0.1');
        sockets.push(socket);
        await once(socket, 'connect');
        socket.write(connectPacket(`idle-${i + k}`));
        await once(socket, 'data');
      }),
    );
  }
  const bytes = (rss(broker) - before) / count;
  for (const s of sockets) s.destroy();
  return bytes;
}

export async function benchBroker({ seconds, idle: idleCount, json }: BrokerOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-bench-broker-'));
  const rows: BrokerRow[] = [];
  try {
    for (const start of [
      () => startMosquitto(folder),
      () => startOurs(folder, 'memory'),
      () => startOurs(folder, 'disk'),
    ]) {
      const broker = await start();
      if (!broker) {
        process.stderr.write('mosquitto is not installed: only ours is measured\n');
        continue;
      }
      process.stderr.write(`${broker.name}\n`);
      const bytesPerIdleConnection = await idle(broker, idleCount);
      const connectsPerSecond = await connects(broker.port, seconds);
      const measured: BrokerRow['throughput'][number][] = [];
      for (const qos of [0, 1] as const)
        for (const bytes of SIZES)
          measured.push({ qos, bytes, perSecond: await throughput(broker.port, qos, bytes, seconds) });
      const figures = { bytesPerIdleConnection, connectsPerSecond, idleConnections: idleCount };
      rows.push({ broker: broker.name, throughput: measured, ...figures, rssMb: rss(broker) / 2 ** 20 });
      const gone = once(broker.child, 'exit');
      broker.child.kill('SIGKILL');
      await gone;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (json) process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
  else print(rows);
}

function print(rows: readonly BrokerRow[]): void {
  const first = rows[0];
  const ratio = (v: number, of: number | undefined): string => (of === undefined ? '' : ` (${(v / of).toFixed(2)})`);
  table(
    ['messages/s', ...rows.map((r) => r.broker)],
    [
      ...(first?.throughput ?? []).map(({ qos, bytes }, i) => [
        `QoS ${qos}, ${bytes} B`,
        ...rows.map((r) => {
          const v = r.throughput[i]?.perSecond ?? 0;
          return v.toFixed(0) + ratio(v, first?.throughput[i]?.perSecond);
        }),
      ]),
      [
        'connects/s',
        ...rows.map((r) => r.connectsPerSecond.toFixed(0) + ratio(r.connectsPerSecond, first?.connectsPerSecond)),
      ],
      [
        'bytes an idle connection',
        ...rows.map(
          (r) => r.bytesPerIdleConnection.toFixed(0) + ratio(r.bytesPerIdleConnection, first?.bytesPerIdleConnection),
        ),
      ],
      ['RSS MB at the end', ...rows.map((r) => r.rssMb.toFixed(0))],
    ],
  );
}
