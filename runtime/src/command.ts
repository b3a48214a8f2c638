import { codeOf, type ErrorCode } from '@ecavg/protocol/errors';
import { Command } from 'commander';
import type { z } from 'zod';
import { addCommands, type CommandEntry } from './commandEntry.js';
import type { Service } from './daemon.js';
import { ConfigError, EXIT } from './errors.js';
import type { ExtensionTables } from './extensions.js';
import type { Logger, logSchema } from './logger.js';
import { checkOpenFiles, openFilesLimit, tooFewOpenFiles } from './openFiles.js';

type LogSettings = { log: z.output<typeof logSchema> };

export interface DaemonSpec<T extends z.ZodType<LogSettings>> {
  /** Name of the subcommand. */
  readonly name: string;
  readonly description: string;
  /** Prefix of the environment variables that override fields, such as ECAVG_EDGE_. */
  readonly envPrefix: string;
  /** A config file that works, shown by --help. */
  readonly example: string;
  /** What runs, imported when it does: help and subcommands must not wait for a daemon's libraries. */
  load(): Promise<DaemonParts<T>>;
}

export interface DaemonParts<T extends z.ZodType<LogSettings>> {
  readonly schema: T;
  /** What extensions may add to; see extensions.ts. */
  readonly extensions?: ExtensionTables;
  start(config: z.output<T>, log: Logger): Promise<Service>;
}

/** The command that runs a daemon: the same for `ecavg edge` and the package's own `ecavg-edge`. */
export function daemonCommand<T extends z.ZodType<LogSettings>>(spec: DaemonSpec<T>): Command {
  return new Command(spec.name)
    .description(spec.description)
    .option('-c, --config <file>', 'YAML file with the settings')
    .option('--print-config', 'print the settings in force, defaults and environment included, and exit')
    .addHelpText(
      'after',
      `
Any field can be set by an environment variable: ${spec.envPrefix} and its path in capitals, with two
underscores between levels, as in ${spec.envPrefix}BROKER__URL=mqtt://broker:1883 for broker.url.

Example file:
${spec.example.trim().replace(/^/gm, '  ')}

Exit codes: 0 stopped by a signal, 1 failed, 2 wrong settings.`,
    )
    .action(async (options: { config?: string; printConfig?: boolean }) => {
      checkOpenFiles();
      const [{ schema, extensions, start }, { loadConfig, printConfig }] = await Promise.all([
        spec.load(),
        import('./config.js'),
      ]);
      const config = await loadConfig(schema, {
        file: options.config,
        env: { prefix: spec.envPrefix, variables: process.env },
        ...(extensions && { extensions }),
      });
      if (options.printConfig) {
        process.stdout.write(printConfig(config));
        return;
      }
      const [{ createLogger }, { runDaemon }] = await Promise.all([import('./logger.js'), import('./daemon.js')]);
      const log = createLogger(spec.name, config.log);
      await runDaemon(log, () => start(config, log));
    });
}

/** Subcommands of any depth answer mistakes alike. */
function inherit(command: Command): void {
  for (const sub of command.commands) {
    sub.copyInheritedSettings(command);
    inherit(sub);
  }
}

/**
 * Runs a command line; a mistake of the user's is one sentence on standard error and exit code 2.
 * @param entries of a program of several commands
 */
export async function runCommand(command: Command, entries: readonly CommandEntry[] = []): Promise<void> {
  // Whoever reads what is printed may have seen enough (`| head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });
  const files = openFilesLimit();
  try {
    await addCommands(command, entries, process.argv.slice(2));
    command.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
    command.configureOutput({
      outputError: (text, write) => write(`${text.trimEnd()} [${'ECAVG_ARGUMENT' satisfies ErrorCode}]\n`),
    });
    inherit(command);
    await command.parseAsync();
  } catch (error) {
    const known = tooFewOpenFiles(error, files) ?? (error as Error);
    process.stderr.write(`${known.message} [${codeOf(known)}]\n`);
    process.exit(error instanceof ConfigError ? EXIT.usage : EXIT.failed);
  }
}
