import { ConfigError, loadConfig } from '@ecavg/runtime';
import { Command } from 'commander';
import { type CloudFile, cloudFileSchema } from '../cloudFile.js';

export interface CloudFlags {
  readonly config?: string;
}

/** Throws ConfigError for the file of a regional aggregator, which has no versions of its own. */
export async function readCloudFile({ config }: CloudFlags): Promise<CloudFile> {
  const file = await loadConfig(cloudFileSchema, {
    file: config,
    env: { prefix: 'ECAVG_CLOUD_', variables: process.env },
  });
  if (file.role === 'regional')
    throw new ConfigError('this is for the cloud; the settings are those of a regional aggregator');
  return file;
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
