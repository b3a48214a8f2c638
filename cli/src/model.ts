import { existsSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import {
  type Artifact,
  DATA_SETS,
  type DataSetName,
  Evaluator,
  inspectModel,
  LOSSES,
  type Loss,
  loadDataSet,
  ModelError,
  type ModelProto,
  OPTIMIZERS,
  type OptimizerName,
  parseModel,
  prepareArtifact,
  readArtifactFolder,
  sampleShape,
  serializeModel,
  standardSplit,
  type TrainingGraphOptions,
  updateArtifact,
  writeArtifactFolder,
  ZOO,
  zooModel,
} from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import { Command, InvalidArgumentError, Option } from 'commander';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const collect = (value: string, before: string[] = []): string[] => [...before, value];
const size = (shape: readonly number[]): number => shape.reduce((a, d) => a * d, 1);

const dims = (text: string): number[] => {
  const parts = text.split(',').map(Number);
  if (parts.some((d) => !Number.isInteger(d) || d < 1))
    throw new InvalidArgumentError('Use sizes with commas, as in 3,32,32.');
  return parts;
};
const positive = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('Use a whole number from 1.');
  return n;
};

async function readModel(file: string): Promise<ModelProto> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new ConfigError(
      'ECAVG_MODEL_FILE',
      `${file} can't be read (${(cause as NodeJS.ErrnoException).code}): check the path`,
      {
        cause,
      },
    );
  }
  try {
    return parseModel(bytes);
  } catch (cause) {
    throw new ModelError('ECAVG_MODEL_FILE', `${file} is ${(cause as Error).message}`, { cause });
  }
}

interface PrepareFlags {
  labels?: number;
  loss: Loss;
  batch: number;
  sample?: number[];
  optimizer: OptimizerName;
  freeze?: string[];
  train?: string[];
  clipNorm?: number;
  proximal?: boolean;
  out?: string;
}

async function prepare(file: string, flags: PrepareFlags): Promise<void> {
  const model = await readModel(file);
  const options: TrainingGraphOptions = {
    loss: flags.loss,
    batch: flags.batch,
    sample: sampleShape(model, flags.sample),
    optimizer: { type: flags.optimizer },
    proximal: flags.proximal === true,
    ...(flags.freeze && { frozen: flags.freeze }),
    ...(flags.train && { trainable: flags.train }),
    ...(flags.clipNorm !== undefined && { clipNorm: flags.clipNorm }),
  };
  const artifact = await prepareArtifact(model, options);
  const { shape } = artifact.info.output;
  if (flags.labels !== undefined && (shape.length !== 2 || shape[1] !== flags.labels)) {
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `${file} gives [${shape.slice(1).join(', ')}] outputs a sample, not ${flags.labels} labels`,
    );
  }
  const folder = flags.out ?? `${file.replace(/\.onnx$/, '')}.ecavg`;
  const manifest = await writeArtifactFolder(folder, artifact);
  const list = (title: string, tensors: FolderTensors): void => {
    if (tensors.length === 0) return;
    say(
      `${title}: ${tensors.length} tensors, ${tensors.reduce((a, t) => a + size(t.shape), 0).toLocaleString('en')} values`,
    );
    for (const t of tensors) say(`  ${t.name}  [${t.shape.join(', ')}]`);
  };
  list('parameters', manifest.parameters);
  list('buffers (running statistics)', manifest.buffers);
  say(
    `loss ${manifest.loss}, optimizer ${manifest.optimizer}, batch ${manifest.batch}, sample [${options.sample.join(', ')}]`,
  );
  for (const [name, f] of Object.entries(manifest.files)) say(`${name.padEnd(8)} ${f.size} bytes  sha256 ${f.sha256}`);
  say(`written to ${folder}`);
}

type FolderTensors = readonly { name: string; shape: number[] }[];

async function inspect(path: string): Promise<void> {
  if (existsSync(path) && statSync(path).isDirectory()) {
    const { manifest } = await readArtifactFolder(path);
    say(JSON.stringify(manifest, null, 2));
    return;
  }
  const found = inspectModel(await readModel(path));
  say(`opset ${found.opset}, made by ${found.producer}, ${found.parameters.toLocaleString('en')} constant values`);
  say(`input  ${found.input.name} [${found.input.shape.join(', ')}]`);
  say(`output ${found.output.name} [${found.output.shape.join(', ')}]`);
  for (const { op, count, trainable } of found.ops)
    say(`  ${String(count).padStart(4)} ${op}${trainable ? '' : '  (no gradient)'}`);
}

async function initialise(
  name: string,
  flags: { input: number[]; classes: number; seed: number; out: string },
): Promise<void> {
  const { input, classes, seed, out } = flags;
  const model = zooModel(name, { input, classes, seed });
  await writeFile(out, serializeModel(model), { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    throw new ConfigError(
      'ECAVG_FILE',
      cause.code === 'EEXIST' ? `${out} exists already: name another with --out` : cause.message,
      {
        cause,
      },
    );
  });
  say(`written to ${out}; prepare it with: ecavg model prepare ${out} --loss ${ZOO[name]?.loss}`);
}

async function evaluate(folder: string, flags: { dataset: DataSetName; threads: number }): Promise<void> {
  const { artifact } = await readArtifactFolder(folder);
  const data = loadDataSet(flags.dataset, { sites: 8, seed: 1 });
  const evaluator = await Evaluator.create(artifact.model, artifact.layout, flags.threads);
  const { test } = standardSplit(data, 1);
  const result = await evaluator.evaluate(artifact.weights, { data, indices: test });
  await evaluator.release();
  say(JSON.stringify({ dataset: data.name, simulated: data.simulated, ...result }));
}

async function exportPlain(folder: string, flags: { weights?: string; out: string }): Promise<void> {
  const { artifact } = await readArtifactFolder(folder);
  const model: Artifact = flags.weights
    ? updateArtifact(artifact, await readWeights(flags.weights, artifact))
    : artifact;
  await writeFile(flags.out, model.infer);
  say(`${flags.out}: ${model.infer.length} bytes, sha256 ${model.sha256}`);
}

async function readWeights(file: string, { layout }: Artifact): Promise<Float32Array> {
  const bytes = await readFile(file);
  if (bytes.length !== layout.total * 4) {
    throw new ModelError(
      'ECAVG_MODEL_SHAPE',
      `${file} holds ${bytes.length} bytes; this model's ${layout.total} values need ${layout.total * 4}`,
    );
  }
  return new Float32Array(new Uint8Array(bytes).buffer);
}

export function modelCommand(): Command {
  const command = new Command('model').description('prepare, look at and evaluate ONNX models').addHelpText(
    'after',
    `
Examples:
  ecavg model prepare my.onnx --labels 10 --loss cross-entropy --freeze 'features.*'
  ecavg model inspect my.onnx
  ecavg model init mobilenetv2 --input 3,32,32 --classes 10 --out cifar.onnx
  ecavg model eval digits.ecavg --dataset mnist
  ecavg model export digits.ecavg --out digits.onnx`,
  );
  command
    .command('prepare')
    .description('check a float32 .onnx and write it as a folder with inference, training and evaluation graphs')
    .argument('<file>', '.onnx with one input and one output, opset 13 or later')
    .option('--labels <n>', 'number of classes it must give', positive)
    .addOption(new Option('--loss <name>', 'what training minimises').choices(LOSSES).default('cross-entropy'))
    .addOption(new Option('--optimizer <name>', 'how it steps').choices(OPTIMIZERS).default('sgd'))
    .option('--batch <n>', 'samples in a step', positive, 32)
    .option('--sample <dims>', "shape of one sample, where the model's input leaves it open", dims)
    .option('--freeze <pattern>', 'parameters to leave as they are, * for any text; may be given again', collect)
    .option('--train <pattern>', 'train only these parameters; may be given again', collect)
    .option('--clip-norm <x>', 'scale gradients down to this global norm', Number)
    .option('--proximal', 'allow the FedProx term')
    .option('--out <folder>', 'default: the file, with .ecavg for .onnx')
    .action(prepare);
  command
    .command('inspect')
    .description('list the ops, shapes and parameters of a .onnx or a prepared folder')
    .argument('<path>')
    .action(inspect);
  command
    .command('init')
    .description(`write a model of the zoo with new weights: ${Object.keys(ZOO).join(', ')}`)
    .argument('<name>')
    .requiredOption('--input <dims>', 'shape of one sample', dims)
    .option('--classes <n>', 'number of classes', positive, 10)
    .option('--seed <n>', 'seed of the weights', Number, 1)
    .requiredOption('--out <file>', 'where to write the .onnx')
    .action(initialise);
  command
    .command('eval')
    .description('accuracy and loss of a prepared classifier on the test part of a data set')
    .argument('<folder>')
    .addOption(new Option('--dataset <name>', 'data set').choices(DATA_SETS).default('mnist'))
    .option('--threads <n>', 'CPU threads', positive, 1)
    .action(evaluate);
  command
    .command('export')
    .description('write plain ONNX, with the weights of the folder or of a file')
    .argument('<folder>')
    .option('--weights <file>', 'float32 values in the layout of the folder')
    .requiredOption('--out <file>', 'where to write the .onnx')
    .action(exportPlain);
  return command;
}
