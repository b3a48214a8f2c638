import { loadConfig } from '@ecavg/runtime';
import { Command } from 'commander';
import { type CloudFile, cloudFileSchema } from './models.js';

export interface CloudFlags {
  readonly config?: string;
}

export const readCloudFile = ({ config }: CloudFlags): CloudFile =>
  loadConfig(cloudFileSchema, { file: config, env: { prefix: 'ECAVG_CLOUD_', variables: process.env } });

/** A subcommand of `ecavg cloud` that works beside a running cloud. */
export const cloudSubcommand = (name: string, description: string, examples: string): Command =>
  new Command(name)
    .description(description)
    .option('-c, --config <file>', "the cloud's YAML file")
    .addHelpText(
      'after',
      `\nThe cloud may run meanwhile: what these commands change is in force at once.\n\nExamples:\n${examples}`,
    );
