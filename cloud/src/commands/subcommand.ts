import { Command } from 'commander';

export interface CloudFlags {
  readonly config?: string;
}

/** A subcommand of `ecavg cloud` that works beside a running cloud. */
export const cloudSubcommand = (name: string, description: string, examples: string): Command =>
  new Command(name)
    .description(description)
    .option('-c, --config <file>', "the cloud's YAML file")
    .addHelpText(
      'after',
      `\nThe cloud may run meanwhile: what these commands change is in force at once.\n\nExamples:\n${examples}`,
    );
