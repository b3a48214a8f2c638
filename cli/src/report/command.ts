import { writeFileSync } from 'node:fs';
import { type CloudConfig, History, historyPath, isSimulated, modelOf, readCloudFile } from '@ecavg/cloud';
import { Command } from 'commander';
import { figuresOf } from './figures.js';
import { reportPage } from './page.js';

interface Flags {
  readonly config?: string;
  readonly fleet?: string;
  readonly model?: string;
  readonly out: string;
  readonly json?: boolean;
}

/** Reads a cloud's history; the cloud may run meanwhile. */
async function figuresFor(config: CloudConfig) {
  const history = await History.read(historyPath(config.dataDir, config.model.id));
  return figuresOf(history.rounds, history.receptions, config.guard.tolerance);
}

/** Writes the page. */
export async function writeReport(config: CloudConfig, file: string): Promise<void> {
  const about = {
    fleet: config.fleet,
    model: config.model.id,
    architecture: config.model.file ?? config.model.architecture,
    simulated: isSimulated(config),
    madeAt: Date.now(),
  };
  writeFileSync(file, reportPage(about, await figuresFor(config)));
}

export function reportCommand(): Command {
  return new Command('report')
    .description("evaluate a fleet's rounds: accuracy against bytes, each gateway's change, negative transfer, advice")
    .option('-c, --config <file>', "the cloud's YAML file")
    .option('--fleet <name>', 'which fleet, where the cloud has several')
    .option('--model <id>', 'which model, where the cloud has several')
    .option('-o, --out <file>', 'where to write the page', 'report.html')
    .option('--json', 'print the figures as JSON instead')
    .addHelpText(
      'after',
      `
The page is one file that needs nothing else. The cloud may run meanwhile.

Examples:
  ecavg report --config cloud.yaml
  ecavg report --config cloud.yaml --out pilot.html
  ecavg report --config cloud.yaml --json`,
    )
    .action(async ({ out, json, ...flags }: Flags) => {
      const config = modelOf((await readCloudFile(flags)).models, flags);
      if (json) process.stdout.write(`${JSON.stringify(await figuresFor(config), null, 2)}\n`);
      else {
        await writeReport(config, out);
        process.stderr.write(`${out} is written\n`);
      }
    });
}
