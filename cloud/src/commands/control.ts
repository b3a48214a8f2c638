import { join } from 'node:path';
import { ConfigError, EXIT } from '@ecavg/runtime';
import { type Command, InvalidArgumentError } from 'commander';
import { controlFolder } from '../cloud.js';
import { type RegistryIndex, readIndex, type Version } from '../versions/registry.js';
import { ControlBox, type ControlRequest } from './controlBox.js';
import { type CloudFlags, cloudSubcommand, readCloudFile } from './subcommand.js';

interface Flags extends CloudFlags {
  readonly fleet?: string;
  readonly model?: string;
  readonly to?: number;
  readonly wait?: number;
  readonly json?: boolean;
}

const whole = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('Use a whole number above 0.');
  return n;
};

/** The model that is meant; where the cloud has several, it must be named. */
export function modelOf<M extends { readonly fleet: string; readonly model: { readonly id: string } }>(
  models: readonly M[],
  { fleet, model }: { readonly fleet?: string; readonly model?: string },
): M {
  const fits = models.filter((m) => (fleet ?? m.fleet) === m.fleet && (model ?? m.model.id) === m.model.id);
  const [found] = fits;
  if (found && fits.length === 1) return found;
  const names = models.map((m) => `--fleet ${m.fleet} --model ${m.model.id}`).join('\n  ');
  throw new ConfigError(`say which model is meant, one of:\n  ${names}`);
}

async function ask(command: Command, action: ControlRequest['action']): Promise<void> {
  const flags = command.optsWithGlobals<Flags>();
  const file = await readCloudFile(flags);
  const { fleet, model } = modelOf(file.models, flags);
  const request = { fleet, model: model.id, action, ...(flags.to !== undefined && { version: flags.to }) };
  const answer = await new ControlBox(controlFolder(file.dataDir)).ask(request, 1000 * (flags.wait ?? 30));
  if (!answer) {
    process.stderr.write(
      'no cloud answered; the command is kept, and a cloud with this dataDir carries it out when it starts\n',
    );
    process.exitCode = EXIT.failed;
  } else if (answer.done) process.stdout.write(`${answer.text}\n`);
  else throw new ConfigError(answer.text);
}

const percent = (v: number | undefined): string => (v === undefined ? '-' : `${(100 * v).toFixed(2)} %`);

function line(v: Version, { pinned }: RegistryIndex, head: Version | undefined): string {
  const marks = [
    v === head ? 'in force' : '',
    v.version === pinned ? 'pinned' : '',
    v.state === 'current' ? '' : v.state === 'canary' ? 'on trial' : 'withdrawn',
    v.restores === undefined ? '' : `weights of version ${v.restores}`,
  ].filter(Boolean);
  const { accuracy, updates } = v.metrics;
  const from = v.round === 0 ? 'initial' : `round ${v.round}, ${updates ?? 0} updates`;
  const time = new Date(v.createdAt).toISOString();
  return `${String(v.version).padStart(4)}  ${v.sha256.slice(0, 12)}  ${time}  ${percent(accuracy).padStart(8)}  ${from}${marks.length ? `  [${marks.join(', ')}]` : ''}`;
}

const withModel = (name: string, description: string, examples: string): Command =>
  cloudSubcommand(name, description, examples)
    .option('--fleet <name>', 'which fleet, where the cloud has several')
    .option('--model <id>', 'which model, where the cloud has several');

const withWait = (command: Command): Command =>
  command.option('--wait <seconds>', 'how long to wait for the cloud to answer', whole, 30);

/** Subcommands of `ecavg cloud` that look at versions and change which one is in force. */
export function controlCommands(): Command[] {
  return [
    withModel(
      'history',
      'list the versions: where each came from, and which is in force',
      '  ecavg cloud history --config cloud.yaml\n  ecavg cloud history --config cloud.yaml --json',
    )
      .option('--json', 'print JSON')
      .action(async (_: object, command: Command) => {
        const flags = command.optsWithGlobals<Flags>();
        const config = modelOf((await readCloudFile(flags)).models, flags);
        const folder = join(config.dataDir, 'models', config.model.id);
        const index = await readIndex(folder);
        if (!index) throw new ConfigError(`${folder} holds no versions: has this cloud run yet?`);
        const head = index.versions.findLast((v) => v.state === 'current');
        if (flags.json) process.stdout.write(`${JSON.stringify(index, null, 1)}\n`);
        else for (const v of index.versions) process.stdout.write(`${line(v, index, head)}\n`);
      }),
    withWait(
      withModel(
        'rollback',
        'bring an earlier version back, as a new one; an open round is given up',
        '  ecavg cloud rollback --config cloud.yaml            # to the version before\n  ecavg cloud rollback --config cloud.yaml --to 12',
      ),
    )
      .option('--to <version>', 'which version; default: the one before the one in force', whole)
      .action((_: object, command: Command) => ask(command, 'rollback')),
    withWait(
      withModel(
        'pin',
        'keep a version in force: no round opens until it is let go',
        '  ecavg cloud pin --config cloud.yaml                 # the one in force\n  ecavg cloud pin --config cloud.yaml --to 12',
      ),
    )
      .option('--to <version>', 'which version; default: the one in force', whole)
      .action((_: object, command: Command) => ask(command, 'pin')),
    withWait(withModel('unpin', 'let rounds go on', '  ecavg cloud unpin --config cloud.yaml')).action(
      (_: object, command: Command) => ask(command, 'unpin'),
    ),
  ];
}
