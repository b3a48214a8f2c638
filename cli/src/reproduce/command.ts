import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cacheDir, type DataSet, loadMnist, loadStandard, loadSteel, Random, subset, ZOO } from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import Table from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes } from '../bytes.js';
import { Lab } from './lab.js';
import { type Outcome, runProtocol, type Settings } from './protocol.js';

type Defaults = Omit<Settings, 'seed'> & { readonly batch: number };

interface Sets {
  readonly train: DataSet;
  readonly test: DataSet;
}

/** One case: its data, and what the flags say where they are left out. */
interface CaseRecord {
  readonly defaults: Defaults;
  /** What `--data` names. */
  readonly wants: string;
  /** The data that installs with ecavg, where there is some. */
  readonly builtIn?: (seed: number) => Sets;
  /** Reads what `--data` names. @throws where it is not that. */
  readonly load: (path: string, seed: number) => Sets;
}

const FOLDER = 'the folder of its files';

/** The paper names model and data; edges, split, epochs and learning rates are this project's choice. */
const CASES = {
  mnist: {
    defaults: both({
      model: 'mlp',
      split: 'iid',
      edges: 2,
      localEpochs: 20,
      learningRate: 0.05,
      serverLearningRate: 0.005,
    }),
    wants: FOLDER,
    builtIn: installedDigits,
    load: (folder) => loadStandard('mnist', folder),
  },
  cifar10: {
    defaults: both({
      model: 'mobilenetv2',
      split: 'iid',
      edges: 2,
      localEpochs: 2,
      learningRate: 0.05,
      serverLearningRate: 0.02,
    }),
    wants: FOLDER,
    load: (folder) => loadStandard('cifar10', folder),
  },
  cifar100: {
    defaults: both({
      model: 'resnet50',
      split: 'iid',
      edges: 2,
      localEpochs: 2,
      learningRate: 0.02,
      serverLearningRate: 0.02,
    }),
    wants: FOLDER,
    load: (folder) => loadStandard('cifar100', folder),
  },
  steel: {
    defaults: both({
      model: 'mlp',
      split: 'skew',
      edges: 3,
      localEpochs: 30,
      learningRate: 0.02,
      serverLearningRate: 0.01,
    }),
    wants: 'its CSV file',
    load: loadSteel,
  },
} satisfies Record<string, CaseRecord>;
type Case = keyof typeof CASES;

function both(settings: Omit<Defaults, 'serverEpochs' | 'batch'>): Defaults {
  return { ...settings, serverEpochs: 1, batch: 32 };
}

/** What `--quick` leaves: enough to see that everything runs, not to say anything of accuracy. */
const QUICK = { train: 1000, test: 300, localEpochs: 1 };

interface Flags {
  readonly data?: string;
  readonly quick?: boolean;
  readonly samples?: number;
  readonly report?: string;
  readonly model?: string;
  readonly edges?: number;
  readonly split?: 'iid' | 'skew';
  readonly localEpochs?: number;
  readonly serverEpochs?: number;
  readonly learningRate?: number;
  readonly serverLearningRate?: number;
  readonly seed: number;
  readonly threads: number;
  readonly work?: string;
}

const integer =
  (low: number, high: number) =>
  (text: string): number => {
    const n = Number(text);
    if (!Number.isInteger(n) || n < low || n > high)
      throw new InvalidArgumentError(`Use a whole number from ${low} to ${high}.`);
    return n;
  };

const rate = (text: string): number => {
  const x = Number(text);
  if (!(x > 0 && x <= 10)) throw new InvalidArgumentError('Use a number above 0, as in 0.05.');
  return x;
};

/** The digits that install with ecavg: a fifth of them is the test set. */
function installedDigits(seed: number): Sets {
  const data = loadMnist();
  const order = new Random(seed, 'reproduce/mnist').shuffle(Int32Array.from({ length: data.length }, (_, i) => i));
  return { train: subset(data, order.slice(2000)), test: subset(data, order.slice(0, 2000)) };
}

function loadCase(name: Case, path: string | undefined, seed: number): Sets {
  const { builtIn, load, wants }: CaseRecord = CASES[name];
  if (path === undefined) {
    if (builtIn) return builtIn(seed);
    throw new ConfigError('ECAVG_DATA_FILE', `${name} is not part of ecavg: name ${wants} with --data`);
  }
  try {
    return load(path, seed);
  } catch (cause) {
    throw new ConfigError('ECAVG_DATA_FILE', (cause as Error).message, { cause });
  }
}

function cut(data: DataSet, length: number, seed: number): DataSet {
  const order = new Random(seed, 'reproduce/quick').shuffle(Int32Array.from({ length: data.length }, (_, i) => i));
  return subset(data, order.slice(0, length).sort());
}

const percent = (x: number): string => (100 * x).toFixed(2);
const mark = (text: string, yes: boolean): string => (yes ? `*${text}` : text);

function table({ rows, chosen }: Outcome): string {
  const head = ['method', 'edge before', 'average', 'server', 'edge after', 'change', 'bytes up'];
  const out = new Table({
    head,
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
    style: { head: [], border: [] },
  });
  for (const r of rows) {
    const change = r.edgesBefore.map((b, k) => 100 * ((r.edgesAfter[k] as number) - b));
    out.push([
      r.method,
      r.edgesBefore.map(percent).join(' '),
      mark(percent(r.average), chosen.method === r.method && !chosen.tuned),
      mark(percent(r.server), chosen.method === r.method && chosen.tuned),
      percent(r.edgesAfter[0] as number),
      change.map((c) => `${c < 0 ? '' : '+'}${c.toFixed(2)}`).join(' '),
      formatBytes(r.bytesUp),
    ]);
  }
  return `${out.toString()}\n* what the guard publishes, the best on samples that nobody trained on. All accuracies: %, test set.\n"average" is the server's model before its fine-tuning on the combined data, "server" after; "bytes up" are the updates', not the combined data's.`;
}

async function reproduce(name: Case, flags: Flags): Promise<void> {
  const { seed, quick, report } = flags;
  const given = CASES[name].defaults;
  const settings: Settings & { batch: number } = {
    ...given,
    model: flags.model ?? given.model,
    edges: flags.edges ?? given.edges,
    split: flags.split ?? given.split,
    localEpochs: flags.localEpochs ?? (quick ? QUICK.localEpochs : given.localEpochs),
    serverEpochs: flags.serverEpochs ?? given.serverEpochs,
    learningRate: flags.learningRate ?? given.learningRate,
    serverLearningRate: flags.serverLearningRate ?? given.serverLearningRate,
    seed,
  };
  const began = performance.now();
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  let { train, test } = loadCase(name, flags.data && resolve(flags.data), seed);
  if (quick) [train, test] = [cut(train, QUICK.train, seed), cut(test, QUICK.test, seed)];
  if (flags.samples !== undefined && flags.samples < train.length) train = cut(train, flags.samples, seed);
  const folder = resolve(flags.work ?? join(cacheDir(), 'reproduce'));
  say(
    `${name}: ${settings.model}, ${train.length} training and ${test.length} test samples, ${settings.edges} edges (${settings.split}), ${settings.localEpochs} local and ${settings.serverEpochs} server epochs; what is trained is kept in ${folder}`,
  );
  const lab = await Lab.open(settings.model, train, { folder, batch: settings.batch, threads: flags.threads, say });
  try {
    const outcome = await runProtocol(lab, train, test, settings);
    const wallSeconds = (performance.now() - began) / 1000;
    process.stdout.write(`${table(outcome)}\n`);
    process.stdout.write(
      `${outcome.trainingSeconds.toFixed(0)} s of training (${flags.threads} thread${flags.threads > 1 ? 's' : ''}), ${wallSeconds.toFixed(0)} s this run\n`,
    );
    if (report) {
      const samples = { train: train.length, test: test.length };
      const result = { case: name, quick: quick === true, settings, samples, ...outcome, wallSeconds };
      writeFileSync(report, `${JSON.stringify(result, null, 1)}\n`);
    }
  } finally {
    await lab.release();
  }
}

export function reproduceCommand(): Command {
  return new Command('reproduce')
    .description("run the paper's protocol and ours beside it: edge before, server, edge after")
    .addArgument(
      new Command()
        .createArgument('<case>', 'mnist, cifar10 and cifar100 as in the paper; steel: a real factory set')
        .choices(Object.keys(CASES)),
    )
    .option('--data <path>', 'folder of the standard files (steel: the CSV file); mnist has 10,000 digits built in')
    .option('--quick', `${QUICK.train} samples and one local epoch, to see that it runs`)
    .option('--samples <n>', 'only so many training samples', integer(100, 1_000_000))
    .option('--report <file>', 'write the result as JSON')
    .addOption(new Option('--model <name>', "architecture, instead of the paper's").choices(Object.keys(ZOO)))
    .option('--edges <n>', 'number of edges', integer(1, 64))
    .addOption(new Option('--split <how>', 'even shares, or labels 90/10').choices(['iid', 'skew']))
    .option('--local-epochs <n>', "epochs of an edge's pre-training", integer(1, 1000))
    .option('--server-epochs <n>', "epochs of the server's fine-tuning", integer(1, 1000))
    .option('--learning-rate <x>', "of an edge's pre-training", rate)
    .option('--server-learning-rate <x>', "of the server's fine-tuning", rate)
    .option('--seed <n>', 'seed of weights, shards and sample order', integer(0, 2 ** 20), 1)
    .option('--threads <n>', 'CPU threads', integer(1, 256), 1)
    .option('--work <folder>', 'where trained weights are kept, to go on after a stop; default: in the cache')
    .addHelpText(
      'after',
      `
Run the same command again after a stop: it goes on at the last epoch.

Examples:
  ecavg reproduce mnist
  ecavg reproduce mnist --data mnist/ --split skew --report mnist.json
  ecavg reproduce cifar10 --data cifar-10-batches-bin/ --quick
  ecavg reproduce cifar100 --data cifar-100-binary/ --local-epochs 20
  ecavg reproduce steel --data steel-plates-faults.csv`,
    )
    .action(reproduce);
}
