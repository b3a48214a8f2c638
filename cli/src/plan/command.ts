import { readFile } from 'node:fs/promises';
import { inspectModel, parseModel, ZOO, zooModel } from '@ecavg/models';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes } from '../bytes.js';
import { estimate, type Plan, type PlanOptions, type PlanPreset, RATIOS } from './estimate.js';

/** Samples that the models of the zoo are planned with, where none is given. */
const SAMPLES: Readonly<Record<string, number[]>> = {
  mlp: [1, 28, 28],
  'cnn-small': [1, 28, 28],
  mobilenetv2: [3, 32, 32],
  resnet50: [3, 32, 32],
  'sensor-cnn1d': [2, 1024],
  'sensor-autoencoder': [2, 1024],
};

interface Flags extends Omit<PlanOptions, 'parameters'> {
  readonly model: string;
  readonly parameters?: number;
  readonly sample?: number[];
  readonly labels: number;
  readonly json?: boolean;
}

function number(least: number, most = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!(text.trim() !== '' && value >= least && value <= most))
      throw new InvalidArgumentError(
        `Use a number from ${least}${most < Number.POSITIVE_INFINITY ? ` to ${most}` : ' on'}.`,
      );
    return value;
  };
}

const shape = (text: string): number[] => {
  const dims = text.split(',').map(Number);
  if (dims.some((d) => !Number.isInteger(d) || d < 1)) throw new InvalidArgumentError('Use sizes, as in 2,1024.');
  return dims;
};

async function parametersOf({ parameters, model, sample, labels }: Flags): Promise<number> {
  if (parameters !== undefined) return parameters;
  const proto = Object.hasOwn(ZOO, model)
    ? zooModel(model, { input: sample ?? SAMPLES[model] ?? [1, 28, 28], classes: labels, seed: 1 })
    : parseModel(await readFile(model));
  return inspectModel(proto).parameters;
}

function print(parameters: number, o: Flags, p: Plan): void {
  const rows: [string, string][] = [
    ['model', `${parameters.toLocaleString('en')} parameters, ${formatBytes(4 * parameters)} as float32`],
    [
      'an update',
      `${formatBytes(p.updateBytes)} (${o.preset}), a new version ${formatBytes(p.differenceBytes)} (${o.difference})`,
    ],
    [
      'a gateway, a month',
      `${p.rounds} rounds: ${formatBytes(p.upBytes)} up, ${formatBytes(p.downBytes)} down, ${formatBytes(p.idleBytes)} to stay connected`,
    ],
    ['the fleet, a month', `${formatBytes(p.fleetBytes)}; with float32 weights ${formatBytes(p.float32Bytes)}`],
    ['traffic', `${p.traffic.toFixed(2)} at ${o.pricePerGb} a GB`],
    ['energy', `${p.kilowattHours.toFixed(2)} kWh, ${p.energy.toFixed(2)} at ${o.pricePerKwh} a kWh`],
    ['together', `${p.total.toFixed(2)} a month, ${p.perGateway.toFixed(2)} a gateway`],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(20)}${value}\n`);
  process.stdout.write(
    '\nAn estimate: update sizes are those measured on MNIST, where they vary by a third from model to model; the first\nversion comes whole, once. Measure yours in a trial: docs/telemetry.md, bytes and bytes_down.\n',
  );
}

/** `ecavg plan`: what a fleet costs before there is one. */
export function planCommand(): Command {
  return new Command('plan')
    .description('estimate bytes, energy and cost of a fleet a month')
    .option('--model <name or file>', `of the zoo (${Object.keys(ZOO).join(', ')}), or an .onnx`, 'mlp')
    .option('--sample <sizes>', 'shape of one sample, for models of the zoo', shape)
    .option('--labels <n>', 'classes, for models of the zoo', number(1), 10)
    .option('--parameters <n>', 'in place of a model', number(1))
    .option('--gateways <n>', 'gateways', number(1), 10)
    .option('--rounds-per-day <n>', 'rounds a day', number(0), 24)
    .option('--share <x>', 'share of the gateways that a round asks', number(0.001, 1), 1)
    .addOption(
      new Option('--preset <name>', 'of updates').choices(Object.keys(RATIOS)).default('balanced' satisfies PlanPreset),
    )
    .addOption(
      new Option('--difference <name>', 'of new versions')
        .choices(['lossless', 'fine', 'balanced', 'tight'])
        .default('fine'),
    )
    .option('--train-seconds <s>', 'local training in a round', number(0), 30)
    .option('--watts <w>', 'what training draws above idle', number(0), 5)
    .option('--price-per-gb <x>', 'of traffic, in your currency', number(0), 1)
    .option('--price-per-kwh <x>', 'of energy', number(0), 0.25)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  ecavg plan --gateways 200 --model sensor-cnn1d --labels 4 --rounds-per-day 4 --price-per-gb 8
  ecavg plan --model my.onnx --preset tight --json
  ecavg plan --parameters 23500000 --gateways 50 --rounds-per-day 1 --share 0.2`,
    )
    .action(async (flags: Flags) => {
      const parameters = await parametersOf(flags);
      const plan = estimate({ ...flags, parameters });
      if (flags.json) process.stdout.write(`${JSON.stringify({ ...flags, parameters, plan })}\n`);
      else print(parameters, flags, plan);
    });
}
