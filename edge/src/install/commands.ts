// Room install: a gateway as a service of its system: `ecavg edge install`, `enrol`, `status`, `logs`.
// May import every other room.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { logSchema } from '@ecavg/runtime';
import { ConfigError } from '@ecavg/runtime/commandLine';
import { Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import type { EnrolConfig } from './enrol.js';
import type { InstallConfig } from './install.js';

/** The settings that these commands work by. */
export interface CommandConfig extends EnrolConfig, InstallConfig {
  readonly log: z.output<typeof logSchema>;
}

/** The settings of a file, or of `undefined`: none, and the environment. */
export type LoadConfig = (file: string | undefined) => Promise<CommandConfig>;

interface Flags {
  readonly config?: string;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const withConfig = (name: string, description: string, examples: string): Command =>
  new Command(name)
    .description(description)
    .option('-c, --config <file>', "the gateway's YAML file")
    .addHelpText('after', `\nExamples:\n${examples}`);

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('Use a number above 0.');
  return value;
}

/** Names end in a path and in arguments of other programs. */
function unitName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text)) throw new InvalidArgumentError('Use letters, digits, _, - or .');
  return text;
}

interface InstallFlags extends Flags {
  readonly name: string;
  readonly user: string;
  readonly root: string;
  readonly memoryMax?: number;
  readonly start?: boolean;
  readonly print?: boolean;
}

function installCommand(load: LoadConfig): Command {
  return withConfig(
    'install',
    'install this gateway as a systemd service, shut in and watched',
    '  sudo ecavg edge install --config /etc/ecavg/edge.yaml --start\n  ecavg edge install --config edge.yaml --print            # only show the unit\n  ecavg edge install --config edge.yaml --root image/      # for an image',
  )
    .option('--name <unit>', 'name of the service', unitName, 'ecavg-edge')
    .option('--user <user>', 'user that it runs as; made if it is not there', unitName, 'ecavg')
    .option('--memory-max <MB>', 'the system ends it above this much memory', positive)
    .option('--root <dir>', 'write below this folder in place of /', '/')
    .option('--start', 'enable and start it')
    .option('--print', 'print the unit and do nothing')
    .action(async (_: object, command: Command) => {
      const flags = command.optsWithGlobals<InstallFlags>();
      if (!flags.config)
        throw new ConfigError('ECAVG_ARGUMENT', 'say which settings the service runs with: --config FILE');
      const config = await load(flags.config);
      const { install, unitFor } = await import('./install.js');
      const options = { memoryMax: undefined, ...flags, configFile: flags.config, start: flags.start === true };
      if (flags.print) process.stdout.write(unitFor(config, options));
      else install(config, options, say);
    });
}

function enrolCommand(load: LoadConfig): Command {
  return withConfig(
    'enrol',
    'make this gateway known to the cloud with a one-time token',
    '  ecavg cloud token --config cloud.yaml --edge press-shop-2 > token.txt     # where the cloud is\n  ecavg edge enrol --config edge.yaml --token-file token.txt\n  ecavg edge enrol --config edge.yaml --token-file - < token.txt',
  )
    .requiredOption('--token-file <file>', 'file with the token; -: standard input')
    .option('--wait <seconds>', 'for the answer', positive, 30)
    .action(async (_: object, command: Command) => {
      const flags = command.optsWithGlobals<Flags & { tokenFile: string; wait: number }>();
      const config = await load(flags.config);
      let token: string;
      try {
        token = readFileSync(flags.tokenFile === '-' ? 0 : flags.tokenFile, 'utf8').trim();
      } catch (cause) {
        throw new ConfigError('ECAVG_SECRET_FILE', `file ${flags.tokenFile} can't be read`, { cause });
      }
      const [{ enrol }, { createLogger }] = await Promise.all([import('./enrol.js'), import('@ecavg/runtime')]);
      const key = await enrol(config, token, flags.wait, createLogger('edge', { ...config.log, level: 'silent' }));
      say(`${config.edge} is known to the cloud by the key ${key}`);
    });
}

function statusCommand(load: LoadConfig): Command {
  return withConfig(
    'status',
    'how the gateway on this machine is',
    '  ecavg edge status --config edge.yaml\n  ecavg edge status --config edge.yaml --json\n\nExit codes: 0 running and connected, 1 running without its broker, 3 not running.',
  )
    .option('--json', 'as JSON')
    .action(async (_: object, command: Command) => {
      const flags = command.optsWithGlobals<Flags & { json?: boolean }>();
      const { statusExit, statusOf, statusText } = await import('./statusCommand.js');
      const found = await statusOf((await load(flags.config)).dataDir);
      const json = { ...found.status, running: found.running };
      process.stdout.write(flags.json ? `${JSON.stringify(json)}\n` : statusText(found));
      process.exitCode = statusExit(found);
    });
}

function logsCommand(): Command {
  return new Command('logs')
    .description("the installed service's log, from the journal")
    .option('--name <unit>', 'name of the service', unitName, 'ecavg-edge')
    .option('-n, --lines <number>', 'so many of the newest lines', positive, 100)
    .option('-f, --follow', 'and those to come')
    .addHelpText('after', '\nExamples:\n  ecavg edge logs -f\n  ecavg edge logs -n 1000 --name ecavg-edge-2')
    .action(({ name, lines, follow }: { name: string; lines: number; follow?: boolean }) => {
      const args = [
        '--unit',
        name,
        '--lines',
        String(lines),
        '--output',
        'cat',
        ...(follow ? ['--follow'] : ['--no-pager']),
      ];
      const { error, status } = spawnSync('journalctl', args, { stdio: 'inherit' });
      if (error)
        throw new ConfigError(
          'ECAVG_INSTALL',
          'there is no journalctl here: a gateway that is no systemd service logs to its standard error',
        );
      process.exitCode = status ?? 1;
    });
}

/** Subcommands of `ecavg edge` for who runs a gateway. */
export const edgeSubcommands = (load: LoadConfig): Command[] => [
  installCommand(load),
  enrolCommand(load),
  statusCommand(load),
  logsCommand(),
];
