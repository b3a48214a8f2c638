import { readFileSync } from 'node:fs';
import { runCommand } from '@ecavg/runtime/commandLine';
import { Command } from 'commander';
import { COMMANDS } from './commands.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('ecavg')
  .description('Edge-cloud collaborative learning for factories')
  .enablePositionalOptions()
  .version(version)
  .showHelpAfterError('Run with --help for the options and examples.')
  .addHelpText(
    'after',
    `
Examples:
  ecavg demo                       a whole fleet on this machine, on real data
  ecavg broker                     a broker on 127.0.0.1:1883
  ecavg cloud --config cloud.yaml
  ecavg edge --config edge.yaml
  ecavg model prepare my.onnx      bring your own model
  ecavg reproduce mnist            the paper's protocol and ours, in a table
  ecavg plan --gateways 200        what a fleet costs before there is one
  ecavg report --config cloud.yaml what a fleet's rounds have brought, as a page with plots
  ecavg doctor                     what is installed and what works`,
  );
await runCommand(program, COMMANDS);
