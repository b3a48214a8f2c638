import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '@ecavg/runtime';
import type { PowerConfig } from '../power/config.js';
import type { SamplesConfig } from '../samples/config.js';
import { readBy } from '../sources/table.js';
import { unitFile } from './unit.js';

/** The settings that a unit follows from. */
export interface InstallConfig extends Pick<SamplesConfig, 'edge' | 'dataDir' | 'data'> {
  readonly power: PowerConfig;
  readonly extensions: readonly string[];
}

export interface InstallOptions {
  readonly configFile: string;
  readonly name: string;
  readonly user: string;
  readonly memoryMax: number | undefined;
  /** In place of /: to make an image, or to look. */
  readonly root: string;
  readonly start: boolean;
}

const UNITS = '/etc/systemd/system';

/**
 * Text of the unit for these settings.
 * @throws ConfigError where they can't work under systemd.
 */
export function unitFor(config: InstallConfig, { configFile, user, memoryMax }: InstallOptions): string {
  if (!isAbsolute(config.dataDir))
    throw new ConfigError(
      'ECAVG_INSTALL',
      `dataDir is ${JSON.stringify(config.dataDir)}: a service needs an absolute path`,
    );
  const program = realpathSync(fileURLToPath(new URL('../../bin/ecavg-edge.js', import.meta.url)));
  return unitFile({
    edge: config.edge,
    user,
    node: process.execPath,
    program,
    configFile: resolve(configFile),
    dataDir: config.dataDir,
    nice: config.power.nice,
    memoryMax,
    reads: [...extensionFolders(config.extensions, dirname(resolve(configFile))), ...readBy(config.data.sources)],
  });
}

/** Folders of the extensions that settings name by path. */
const extensionFolders = (extensions: readonly string[], home: string): string[] =>
  extensions.filter((e) => e.startsWith('.') || isAbsolute(e)).map((e) => dirname(resolve(home, e)));

/** Writes the unit, makes user and folder, and starts the service if asked; each step is told. */
export function install(config: InstallConfig, options: InstallOptions, say: (line: string) => void): void {
  const { root, name, user, start } = options;
  const staged = root !== '/';
  const text = unitFor(config, options);
  if (!staged && process.getuid?.() !== 0)
    throw new ConfigError(
      'ECAVG_INSTALL',
      'installing a service takes root: use sudo, or --root DIR to write the files elsewhere',
    );
  const file = join(root, UNITS, `${name}.service`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  say(`written: ${file}`);
  const data = join(root, config.dataDir);
  mkdirSync(data, { recursive: true });
  chmodSync(data, 0o700);
  if (staged) {
    say(`made: ${data}; it must belong to user ${user}`);
    return;
  }
  const id = userId(user, say);
  chownSync(data, id.uid, id.gid);
  say(`made: ${data} of user ${user}`);
  if (!existsSync('/run/systemd/system')) {
    say(`systemd does not run here; where it does: systemctl enable --now ${name}`);
    return;
  }
  run('systemctl', ['daemon-reload']);
  if (start) run('systemctl', ['enable', '--now', name]);
  say(start ? `started: systemctl status ${name}` : `to start it: systemctl enable --now ${name}`);
}

function userId(user: string, say: (line: string) => void): { uid: number; gid: number } {
  const number = (flag: string): number | undefined => {
    const { status, stdout } = spawnSync('id', [flag, user], { encoding: 'utf8' });
    return status === 0 ? Number(stdout) : undefined;
  };
  if (number('-u') === undefined) {
    run('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', user]);
    say(`made: user ${user}`);
  }
  const [uid, gid] = [number('-u'), number('-g')];
  if (uid === undefined || gid === undefined)
    throw new ConfigError('ECAVG_INSTALL', `there is no user ${user}, and none could be made`);
  return { uid, gid };
}

function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(program, [...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error || status !== 0)
    throw new ConfigError('ECAVG_INSTALL', `${program} ${args.join(' ')} failed${error ? ` (${error.message})` : ''}`);
}
