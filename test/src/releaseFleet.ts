import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DataRole, fits, openDataFolder, stateKinds } from '@ecavg/runtime';
import { type Child, Processes } from 'ecavg';
import { parse, stringify } from 'yaml';
import { changed, ECAVG } from './harness.js';
import { paced } from './pace.js';
// What they write is known once their code is loaded.
import '@ecavg/broker';
import '@ecavg/cloud';
import '@ecavg/edge';

export const RELEASE = fileURLToPath(new URL('../fixtures/release-0.1.0/', import.meta.url));

type Tree = Record<string, unknown>;

const FOLDERS: Readonly<Record<string, { folder: string; role: DataRole; command: string }>> = {
  broker: { folder: 'broker/data', role: 'broker', command: 'broker' },
  cloud: { folder: 'cloud', role: 'cloud', command: 'cloud' },
  region: { folder: 'region', role: 'region', command: 'cloud' },
  ...Object.fromEntries(
    [1, 2, 3, 4, 5].map((i) => [`edge-${i}`, { folder: `edge-${i}`, role: 'edge' as const, command: 'edge' }]),
  ),
};

/** The daemons of today on a copy of what those of release 0.1.0 left; see the README of the fixtures. */
export class ReleaseFleet {
  readonly root = mkdtempSync(join(tmpdir(), 'ecavg-release-'));
  #processes: Processes | undefined;
  #brokerUrl = 'mqtt://127.0.0.1:1';

  constructor() {
    cpSync(RELEASE, this.root, { recursive: true });
    // Settings name other files relative to the folder.
    process.chdir(this.root);
    for (const edge of this.names.filter((n) => n.startsWith('edge-')))
      for (const name of ['source-0.json', 'state.json']) {
        const file = join(this.root, edge, 'samples', name);
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll('/fixture/', `${this.root}/`));
      }
  }

  get names(): string[] {
    return Object.keys(FOLDERS);
  }

  /** A file of a daemon's data folder. */
  path(name: string, ...more: string[]): string {
    return join(this.root, FOLDERS[name]?.folder ?? name, ...more);
  }

  json(name: string, ...more: string[]): Tree {
    return JSON.parse(readFileSync(this.path(name, ...more), 'utf8')) as Tree;
  }

  /** Starts a daemon with its settings of then. */
  async start(name: string): Promise<Child> {
    this.#processes ??= new Processes(join(this.root, 'logs'));
    const child = await this.#processes.start(name, this.#command(name));
    if (name === 'broker') this.#brokerUrl = String(child.ready.url);
    return child;
  }

  /** Starts a daemon and ends it with kill -9 at the first change in a folder of it. */
  async killed(name: string, ...folder: string[]): Promise<void> {
    const changes = watch(this.path(name, ...folder));
    const child = spawn(process.execPath, this.#command(name), { stdio: 'ignore' });
    changes.once('change', () => child.kill('SIGKILL'));
    const [, signal] = await once(child, 'exit');
    changes.close();
    if (signal !== 'SIGKILL') throw new Error(`${name} ended by itself`);
  }

  #command(name: string): string[] {
    const { folder = '', command = '' } = FOLDERS[name] ?? {};
    const settings = parse(readFileSync(join(this.root, 'settings', `${name}.yaml`), 'utf8')) as Record<string, Tree>;
    const { upstream } = settings;
    const url = { url: this.#brokerUrl };
    const here: Tree =
      name === 'broker'
        ? { persistence: { ...settings.persistence, dataDir: folder } }
        : {
            dataDir: folder,
            broker: { ...settings.broker, ...url },
            ...(upstream && { upstream: { ...upstream, broker: { ...(upstream.broker as Tree), ...url } } }),
          };
    mkdirSync(join(this.root, 'run'), { recursive: true });
    const file = join(this.root, 'run', `${name}.yaml`);
    writeFileSync(file, stringify({ ...settings, ...here }));
    return [ECAVG, command, '--config', file];
  }

  async stop(): Promise<void> {
    await this.#processes?.stop();
    this.#processes = undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    process.chdir(tmpdir());
    rmSync(this.root, { recursive: true, force: true });
  }

  log(name: string): string {
    try {
      return readFileSync(join(this.root, 'logs', `${name}.log`), 'utf8');
    } catch {
      return '';
    }
  }

  /** Waits until a daemon's log has a line like this. */
  async logged(name: string, line: RegExp): Promise<void> {
    await changed(join(this.root, 'logs', `${name}.log`), () => line.test(this.log(name)), paced(90_000));
  }

  /** What is wrong with the files of all data folders: none may be of no kind, or of another format than today's. */
  problems(): string[] {
    return Object.entries(FOLDERS).flatMap(([name, { role }]) =>
      filesBelow(this.path(name)).flatMap((file) => {
        const kind = stateKinds.of(role).find((k) => k.patterns.some((p) => fits(p, file)))?.kind;
        if (!kind) return [`${name}: ${file} is in no table`];
        const { format, about } = kind;
        if (!format) return [];
        const found = format.formatsOf(readFileSync(this.path(name, file)));
        // What commands change is renewed when it changes.
        if (about.shared && found.length === 0) return [];
        const fine = found.length > 0 && found.every((f) => f === format.number);
        return fine ? [] : [`${name}: ${file} says the formats [${found.join(', ')}], not ${format.number}`];
      }),
    );
  }

  /** What the start of a daemon does first, for all. */
  async openFolders(): Promise<void> {
    for (const [name, { role }] of Object.entries(FOLDERS)) await openDataFolder(this.path(name), role);
  }

  /** Says that a JSON file is of a later release. */
  raise(name: string, ...path: string[]): void {
    let was: Tree = {};
    try {
      was = this.json(name, ...path);
    } catch {
      // There was none.
    }
    writeFileSync(this.path(name, ...path), JSON.stringify(Object.assign({ format: 2 }, was, { format: 2 })));
  }

  /** Every file of every data folder, by its path, with what is in it. */
  contents(): Map<string, string> {
    return new Map(
      Object.keys(FOLDERS).flatMap((name) =>
        filesBelow(this.path(name)).map((file): [string, string] => [
          `${name}/${file}`,
          readFileSync(this.path(name, file)).toString('latin1'),
        ]),
      ),
    );
  }
}

/** Paths below a folder. */
export const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .map((e) => join(e.parentPath ?? e.path, e.name).slice(folder.length + 1))
    .sort();
