import { type Command, InvalidArgumentError } from 'commander';
import type { ControlRequest } from '../versions/controlBox.js';
import type { ControlFlags } from './controlActions.js';
import { cloudSubcommand, type ReadSettings } from './subcommand.js';

const whole = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('Use a whole number above 0.');
  return n;
};

const withModel = (name: string, description: string, examples: string): Command =>
  cloudSubcommand(name, description, examples)
    .option('--fleet <name>', 'which fleet, where the cloud has several')
    .option('--model <id>', 'which model, where the cloud has several');

const withWait = (command: Command): Command =>
  command.option('--wait <seconds>', 'how long to wait for the cloud to answer', whole, 30);

/** Subcommands of `ecavg cloud` that look at versions and change which one is in force. */
export function controlCommands(read: ReadSettings): Command[] {
  const actions = () => import('./controlActions.js');
  const ask = async (command: Command, action: ControlRequest['action']): Promise<void> =>
    (await actions()).ask(read, command.optsWithGlobals<ControlFlags>(), action);
  return [
    withModel(
      'history',
      'list the versions: where each came from, and which is in force',
      '  ecavg cloud history --config cloud.yaml\n  ecavg cloud history --config cloud.yaml --json',
    )
      .option('--json', 'print JSON')
      .action(async (_: object, command: Command) =>
        (await actions()).printHistory(read, command.optsWithGlobals<ControlFlags>()),
      ),
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
