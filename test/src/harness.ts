import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Child, Processes, Watcher } from 'ecavg';
import { stringify } from 'yaml';
import { PACE, paced } from './pace.js';

export const ECAVG = fileURLToPath(new URL('../../cli/bin/ecavg.js', import.meta.url));
export const FLEET = 'plant';
export const MODEL = 'digits';

type Tree = Record<string, unknown>;

export type { Watcher };

/** What a cloud tells as it happens. */
export const watchCloud = (dashboard: string): Watcher => new Watcher(dashboard, paced(90_000));

/** Waits until something holds that changes of a file, or of files in a folder, bring about. */
export async function changed(path: string, holds: () => boolean, ms = paced(60_000)): Promise<void> {
  const watcher = watch(path);
  try {
    await new Promise<void>((done, fail) => {
      const limit = setTimeout(() => fail(new Error(`nothing of the kind at ${path} within ${ms} ms`)), ms);
      const look = (): void => {
        if (!holds()) return;
        clearTimeout(limit);
        done();
      };
      watcher.on('change', look);
      look();
    });
  } finally {
    watcher.close();
  }
}

const run = promisify(execFile);

/** Settings that give others time to answer, as long as this machine needs. */
const WAITS: ReadonlySet<string> = new Set(['deadlineSeconds', 'settleSeconds', 'waitSeconds']);
const slowed = (settings: Tree): Tree =>
  Object.fromEntries(Object.entries(settings).map(([k, v]) => [k, WAITS.has(k) ? Number(v) * PACE : v]));

/** A private fleet: daemons as processes, started through the command line with config files. */
export class TestFleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'ecavg-test-'));
  readonly processes = new Processes(join(this.folder, 'logs'));
  readonly #watchers: Watcher[] = [];
  brokerUrl = '';
  dashboard = '';

  constructor(private readonly gateways: number) {}

  daemon(name: string, kind: string, config: Tree): Promise<Child> {
    mkdirSync(this.folder, { recursive: true });
    const file = join(this.folder, `${name}.yaml`);
    writeFileSync(file, stringify(config));
    return this.processes.start(name, [ECAVG, kind, '--config', file]);
  }

  async broker(port = 0): Promise<Child> {
    const child = await this.daemon('broker', 'broker', { listen: { port } });
    this.brokerUrl = String(child.ready.url);
    return child;
  }

  async cloud(config: Tree = {}): Promise<{ child: Child; events: Watcher }> {
    const { rounds, canary, ...rest } = config;
    const child = await this.daemon('cloud', 'cloud', {
      fleet: FLEET,
      dataDir: join(this.folder, 'cloud'),
      broker: { url: this.brokerUrl, reconnectSeconds: 0.2 },
      http: { port: 0, anonymous: 'viewer' },
      ...(rest.models === undefined && { model: { id: MODEL } }),
      data: this.data(),
      rounds: slowed({
        count: 1,
        intervalSeconds: 0,
        minEdges: this.gateways,
        settleSeconds: 20,
        pretrainEpochs: 3,
        ...(rounds as Tree),
      }),
      ...(canary !== undefined && { canary: slowed(canary as Tree) }),
      ...rest,
    });
    this.dashboard = String(child.ready.dashboard);
    const events = watchCloud(this.dashboard);
    this.#watchers.push(events);
    return { child, events };
  }

  /** Runs `ecavg cloud ...` beside the running cloud, with its settings, and returns what it prints. */
  async cloudCommand(...args: string[]): Promise<string> {
    const file = join(this.folder, 'cloud.yaml');
    return (await run(process.execPath, [ECAVG, 'cloud', ...args, '--config', file])).stdout;
  }

  edge(index: number, config: Tree = {}): Promise<Child> {
    return this.daemon(`edge-${index}`, 'edge', {
      fleet: FLEET,
      edge: `edge-${index}`,
      model: MODEL,
      dataDir: join(this.folder, `edge-${index}`),
      broker: { url: this.brokerUrl, reconnectSeconds: 0.2 },
      data: { ...this.data(), index },
      resendSeconds: 1,
      ...config,
    });
  }

  data(): Tree {
    return { dataset: 'mnist', gateways: this.gateways, alpha: 5, seed: 1 };
  }

  async state(): Promise<
    Tree & {
      versions: { version: number; sha256: string; round: number; parent: string | null }[];
      wire: { rejected: Record<string, number> };
    }
  > {
    return (await fetch(`${this.dashboard}/api/v1/state`)).json() as never;
  }

  /** Waits until the cloud's round is in a phase on disk. */
  async phase(phase: string): Promise<void> {
    const folder = join(this.folder, 'cloud', 'rounds', MODEL);
    const has = (): boolean => {
      try {
        return JSON.parse(readFileSync(join(folder, 'round.json'), 'utf8')).phase === phase;
      } catch {
        return false;
      }
    };
    await changed(folder, has);
  }

  /** Waits until a daemon's log has a line like this. */
  async logged(name: string, line: RegExp): Promise<void> {
    const file = join(this.folder, 'logs', `${name}.log`);
    await changed(file, () => line.test(readFileSync(file, 'utf8')));
  }

  /** The last lines of every daemon's log, for the message of a test that failed. */
  logs(lines = 12): string {
    const folder = join(this.folder, 'logs');
    const tail = (name: string): string =>
      readFileSync(join(folder, name), 'utf8').trim().split('\n').slice(-lines).join('\n');
    return readdirSync(folder)
      .map((name) => `== ${name}\n${tail(name).slice(-3000)}`)
      .join('\n');
  }

  async stop(): Promise<void> {
    for (const w of this.#watchers) w.close();
    await this.processes.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A fleet for one test, which is gone when that ends. */
export async function withFleet(gateways: number, body: (fleet: TestFleet) => Promise<void>): Promise<void> {
  const fleet = new TestFleet(gateways);
  try {
    await body(fleet);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${fleet.logs()}`, { cause: error });
  } finally {
    await fleet.stop();
  }
}

/** The first `n` edges of a fleet, each with these settings. */
export const startEdges = (fleet: TestFleet, n: number, config: Tree = {}): Promise<Child[]> =>
  Promise.all([...Array(n).keys()].map((i) => fleet.edge(i, { ...config })));

/** A version as the API shows it. */
export interface ShownVersion {
  version: number;
  state: string;
  sha256: string;
  restores?: number;
}

export const versions = async (fleet: TestFleet): Promise<ShownVersion[]> =>
  (await fleet.state()).versions as unknown as ShownVersion[];

export async function kill(child: Child): Promise<void> {
  const gone = once(child.process, 'exit');
  child.process.kill('SIGKILL');
  await gone;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || !address) throw new Error('no port');
  return address.port;
}

/** The program's path; without it the reason to skip, which CI does not accept. */
export function findProgram(name: string): { path: string } | { skip: string } {
  try {
    return { path: execFileSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${name}`], { encoding: 'utf8' }).trim() };
  } catch {
    if (process.env.CI) throw new Error(`${name} is not installed, and CI must not skip the tests that need it`);
    return { skip: `${name} is not installed` };
  }
}
