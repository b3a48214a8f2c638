// Commands: the subcommands of `ecavg cloud` that work beside a running cloud, and what they print.
// They may touch every room, and import one only when they run; how settings are read they are given.
import { ConfigError } from '@ecavg/runtime/commandLine';
import { Command } from 'commander';
import type { EnrolmentConfig } from '../fleet/config.js';

export interface CloudFlags {
  readonly config?: string;
}

/** The settings that these commands work by. */
export interface CloudSettings {
  readonly dataDir: string;
  readonly enrolment: EnrolmentConfig;
  readonly models: readonly {
    readonly fleet: string;
    readonly model: { readonly id: string };
    readonly dataDir: string;
  }[];
}

/** Reads the file of `--config`, and the environment. @throws ConfigError */
export type ReadSettings = (flags: CloudFlags) => Promise<CloudSettings>;

/** A subcommand of `ecavg cloud` that works beside a running cloud. */
export const cloudSubcommand = (name: string, description: string, examples: string): Command =>
  new Command(name)
    .description(description)
    .option('-c, --config <file>', "the cloud's YAML file")
    .addHelpText(
      'after',
      `\nThe cloud may run meanwhile: what these commands change is in force at once.\n\nExamples:\n${examples}`,
    );

/** The model that is meant; where the cloud has several, it must be named. */
export function modelOf<M extends { readonly fleet: string; readonly model: { readonly id: string } }>(
  models: readonly M[],
  { fleet, model }: { readonly fleet?: string; readonly model?: string },
): M {
  const fits = models.filter((m) => (fleet ?? m.fleet) === m.fleet && (model ?? m.model.id) === m.model.id);
  const [found] = fits;
  if (found && fits.length === 1) return found;
  const names = models.map((m) => `--fleet ${m.fleet} --model ${m.model.id}`).join('\n  ');
  throw new ConfigError('ECAVG_AMBIGUOUS', `say which model is meant, one of:\n  ${names}`);
}
