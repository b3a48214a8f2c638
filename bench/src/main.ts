import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readArtifact } from '@ecavg/models';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { AGGREGATE_SIZES, type AggregateSize, benchAggregate, measureAggregate } from './aggregate.js';
import { benchBroker } from './broker.js';
import { benchCli } from './cli.js';
import { benchCodec, CODEC_MODELS, type CodecModel } from './codec.js';
import { benchFleet } from './fleet.js';
import { benchFlower, measureOurs } from './flower.js';
import { benchGateway } from './gateway.js';
import { benchHeterogeneity, COMPARED, STRATEGY_NAMES } from './heterogeneity.js';
import { measureTfjs, TFJS_BACKENDS, type TfjsBackend } from './tfjs.js';
import { benchTrain, CASE_NAMES, type CaseName, measure } from './train.js';

const counts = (text: string): number[] => {
  const list = text.split(',').map(Number);
  if (list.some((n) => !Number.isInteger(n) || n < 1))
    throw new InvalidArgumentError('Use whole numbers with commas, as in 1,2.');
  return list;
};

const program = new Command('bench').description('benchmarks; run them as: npm run bench -- NAME');
program
  .command('train')
  .description(
    'time, memory and arithmetic of a training step, beside the forward pass, a matrix product, TensorFlow.js and PyTorch',
  )
  .addOption(new Option('--models <names...>', 'which models').choices(CASE_NAMES).default(CASE_NAMES))
  .option('--threads <list>', 'CPU threads, as in 1,2', counts, [1, 2])
  .addOption(new Option('--tfjs <backends...>', 'TensorFlow.js beside ours, on these backends').choices(TFJS_BACKENDS))
  .option('--python <path>', 'a Python with PyTorch, to run bench/peers/train.py beside')
  .option('--json', 'print JSON')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- train --models mlp cnn-small --threads 1\n  npm run bench -- train --models mlp cnn-small --tfjs tfjs-cpu tfjs-wasm\n  npm run bench -- train --json --python ~/torch/bin/python',
  )
  .action((o: { models: CaseName[]; threads: number[]; tfjs?: TfjsBackend[]; python?: string; json?: boolean }) =>
    benchTrain({ ...o, tfjs: o.tfjs ?? [], python: o.python, json: o.json === true }),
  );
program
  .command('codec')
  .description('size, speed and effect on accuracy of the update codec, on real updates')
  .addOption(new Option('--models <names...>', 'which models').choices(CODEC_MODELS).default(CODEC_MODELS))
  .addOption(new Option('--seeds <n>', 'training runs of each').argParser(Number).default(3))
  .option('--json', 'print JSON')
  .addHelpText('after', '\nExamples:\n  npm run bench -- codec\n  npm run bench -- codec --models mlp --seeds 1 --json')
  .action((o: { models: CodecModel[]; seeds: number; json?: boolean }) => benchCodec({ ...o, json: o.json === true }));
program
  .command('aggregate')
  .description('rate and memory of aggregation in the cloud, beside a copy in memory and, where it is there, Flower')
  .addOption(
    new Option('--sizes <list...>', 'how large the model is').choices(AGGREGATE_SIZES).default(AGGREGATE_SIZES),
  )
  .option('--edges <list>', 'numbers of edges, as in 10,100', counts, [10, 100, 1000])
  .option('--python <path>', 'a Python with Flower, to run bench/peers/flower_aggregate.py beside')
  .option('--json', 'print JSON')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- aggregate --sizes 0.1M 2.2M --edges 10,100\n  npm run bench -- aggregate --json --python ~/flower/bin/python',
  )
  .action((o: { sizes: AggregateSize[]; edges: number[]; python?: string; json?: boolean }) =>
    benchAggregate({ ...o, python: o.python, json: o.json === true }),
  );
program
  .command('broker')
  .description('messages and connections a second, and memory of idle connections, beside mosquitto')
  .addOption(new Option('--seconds <n>', 'length of each measurement').argParser(Number).default(3))
  .addOption(new Option('--idle <n>', 'idle connections').argParser(Number).default(5000))
  .option('--json', 'print JSON')
  .addHelpText('after', '\nExamples:\n  npm run bench -- broker\n  npm run bench -- broker --seconds 10 --json')
  .action((o: { seconds: number; idle: number; json?: boolean }) => benchBroker({ ...o, json: o.json === true }));
program
  .command('cli')
  .description('CPU time and memory of commands that do little, beside Node.js alone')
  .addOption(new Option('--runs <n>', 'runs of each').argParser(Number).default(15))
  .option('--json', 'print JSON')
  .addHelpText('after', '\nExamples:\n  npm run bench -- cli\n  npm run bench -- cli --runs 41 --json')
  .action((o: { runs: number; json?: boolean }) => benchCli({ ...o, json: o.json === true }));
program
  .command('fleet')
  .description('rounds of many simulated gateways over real sockets: what a round takes beyond training')
  .option('--edges <list>', 'numbers of gateways, as in 100,1000', counts, [100, 1000])
  .addOption(new Option('--rounds <n>', 'rounds; the first is not counted').argParser(Number).default(4))
  .option('--json', 'print JSON')
  .addHelpText('after', '\nExamples:\n  npm run bench -- fleet\n  npm run bench -- fleet --edges 100 --rounds 6 --json')
  .action((o: { edges: number[]; rounds: number; json?: boolean }) => benchFleet({ ...o, json: o.json === true }));
program
  .command('gateway')
  .description('memory, CPU and latency of inference of a gateway that waits, and of one that trains')
  .addOption(new Option('--seconds <n>', 'length of each measurement').argParser(Number).default(15))
  .option('--json', 'print JSON')
  .addHelpText('after', '\nExamples:\n  npm run bench -- gateway\n  npm run bench -- gateway --seconds 60 --json')
  .action((o: { seconds: number; json?: boolean }) => benchGateway({ ...o, json: o.json === true }));
program
  .command('heterogeneity')
  .description('accuracy, and bytes to 90 %, of each strategy on evenly and unevenly spread labels')
  .addOption(new Option('--strategies <names...>', 'which').choices(STRATEGY_NAMES).default(COMPARED))
  .addOption(new Option('--rounds <n>', 'rounds of each run').argParser(Number).default(15))
  .addOption(new Option('--seeds <n>', 'runs of each').argParser(Number).default(1))
  .option('--json', 'print JSON')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- heterogeneity\n  npm run bench -- heterogeneity --strategies samples feddisco --seeds 3 --json',
  )
  .action((o: { strategies: string[]; rounds: number; seeds: number; json?: boolean }) =>
    benchHeterogeneity({ ...o, json: o.json === true }),
  );
program
  .command('flower')
  .description('federated averaging of the same shards, model and rounds, ours and Flower')
  .requiredOption('--python <path>', 'a Python with flwr[simulation] and PyTorch')
  .addOption(new Option('--edges <n>', 'edges').argParser(Number).default(8))
  .addOption(new Option('--rounds <n>', 'rounds').argParser(Number).default(10))
  .addOption(new Option('--alpha <x>', 'Dirichlet concentration of labels').argParser(Number).default(0.5))
  .addOption(
    new Option('--seeds <n>', 'runs, each with its own shards and initial weights').argParser(Number).default(3),
  )
  .option('--json', 'print JSON')
  .addHelpText('after', '\nExample:\n  npm run bench -- flower --python ~/flower/bin/python --edges 8 --rounds 10')
  .action((o: { python: string; edges: number; rounds: number; alpha: number; seeds: number; json?: boolean }) =>
    benchFlower({ ...o, json: o.json === true }),
  );
program
  .command('flower-ours', { hidden: true })
  .argument('<settings>', 'JSON')
  .action(async (about: string) => {
    process.stdout.write(`${JSON.stringify(await measureOurs(JSON.parse(about)))}\n`);
  });
program
  .command('aggregate-one', { hidden: true })
  .addArgument(new Argument('<size>').choices(AGGREGATE_SIZES))
  .argument('<edges>', '', Number)
  .action(async (size: AggregateSize, edges: number) => {
    process.stdout.write(`${JSON.stringify(await measureAggregate(size, edges))}\n`);
  });
program
  .command('train-one', { hidden: true })
  .addArgument(new Argument('<model>').choices(CASE_NAMES))
  .argument('<threads>', '', Number)
  .argument('<folder>', 'with infer.onnx and train.onnx')
  .action(async (model: CaseName, threads: number, folder: string) => {
    const file = (name: string): Promise<Uint8Array> => readFile(join(folder, name));
    const artifact = readArtifact(await file('infer.onnx'), await file('train.onnx'));
    process.stdout.write(JSON.stringify(await measure(model, threads, artifact)));
  });
program
  .command('tfjs-one', { hidden: true })
  .addArgument(new Argument('<backend>').choices(TFJS_BACKENDS))
  .addArgument(new Argument('<model>').choices(CASE_NAMES))
  .argument('<threads>', '', Number)
  .action(async (backend: TfjsBackend, model: CaseName, threads: number) => {
    // The result goes out last, and alone in its line: the libraries print of their own accord.
    process.stdout.write(`\n${JSON.stringify(await measureTfjs(backend, model, threads))}\n`);
    process.exit(0);
  });
await program.parseAsync();
