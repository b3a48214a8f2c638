import { ZOO } from '@ecavg/models';
import { Command, InvalidArgumentError, Option } from 'commander';
import { runDemo } from './demo.js';
import { checkModel, SCENARIOS, type ScenarioName } from './scenario.js';

interface Flags {
  edges: number;
  rounds: number;
  seed: number;
  scenario: ScenarioName;
  model?: string;
  report?: string;
  html?: string;
  keepOpen?: boolean;
}

const integer =
  (low: number, high: number) =>
  (text: string): number => {
    const n = Number(text);
    if (!Number.isInteger(n) || n < low || n > high)
      throw new InvalidArgumentError(`Use a whole number from ${low} to ${high}.`);
    return n;
  };

export function demoCommand(): Command {
  return new Command('demo')
    .description('run a broker, a cloud and a fleet of gateways on this machine, and watch them learn')
    .addOption(new Option('--scenario <name>', 'what to learn').choices(SCENARIOS).default('mnist'))
    .option('--edges <n>', 'number of gateways', integer(1, 64), 8)
    .option('--rounds <n>', 'number of rounds', integer(1, 1000), 5)
    .option('--seed <n>', 'seed of weights, shards and sample order', integer(0, 2 ** 31), 1)
    .addOption(new Option('--model <name>', "architecture, instead of the scenario's own").choices(Object.keys(ZOO)))
    .option('--report <file>', 'write the result as JSON')
    .option('--html <file>', 'write the evaluation of its rounds as a page, as "ecavg report" does')
    .option('--keep-open', 'stay up at the end, with the dashboard, until Ctrl-C; the default on a terminal')
    .option('--no-keep-open', 'end when the last round has')
    .addHelpText(
      'after',
      `
Scenarios:
  mnist      10,000 real handwritten digits, dealt to the gateways with skewed labels (Dirichlet 0.5)
  vibration  SIMULATED bearing vibration: each gateway has its own machine, load, sensor and lost samples

Examples:
  ecavg demo
  ecavg demo --scenario vibration --keep-open
  ecavg demo --edges 4 --rounds 3 --seed 7 --report r.json`,
    )
    .action(async ({ report, html, keepOpen, model, ...options }: Flags) => {
      if (model !== undefined) checkModel(options.scenario, model);
      process.exitCode = await runDemo(
        { ...options, model },
        { report, html, keepOpen: keepOpen ?? (process.stdout.isTTY && process.stdin.isTTY) },
      );
    });
}
