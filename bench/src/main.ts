import { Argument, Command, InvalidArgumentError, Option } from 'commander';
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
  .description('time, memory and arithmetic of a training step, beside the forward pass, a matrix product and PyTorch')
  .addOption(new Option('--models <names...>', 'which models').choices(CASE_NAMES).default(CASE_NAMES))
  .option('--threads <list>', 'CPU threads, as in 1,2', counts, [1, 2])
  .option('--python <path>', 'a Python with PyTorch, to run bench/peers/train.py beside')
  .option('--json', 'print JSON')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- train --models mlp cnn-small --threads 1\n  npm run bench -- train --json --python ~/torch/bin/python',
  )
  .action((o: { models: CaseName[]; threads: number[]; python?: string; json?: boolean }) =>
    benchTrain({ ...o, python: o.python, json: o.json === true }),
  );
program
  .command('train-one', { hidden: true })
  .addArgument(new Argument('<model>').choices(CASE_NAMES))
  .argument('<threads>', '', Number)
  .action(async (model: CaseName, threads: number) => {
    process.stdout.write(JSON.stringify(await measure(model, threads)));
  });
await program.parseAsync();
