import { readFileSync } from 'node:fs';
import { ConfigError } from '@ecavg/runtime/commandLine';
import { Command, Option } from 'commander';
import type { Accounts } from '../http/accounts.js';
import { ROLES, type Role } from '../http/roles.js';
import { type CloudFlags, cloudSubcommand, type ReadSettings } from './subcommand.js';

interface Flags extends CloudFlags {
  readonly role: Role;
  readonly passwordFile?: string;
}

type Open = (command: Command) => Promise<Accounts>;

const role = (): Option =>
  new Option('--role <role>', 'viewer: sees everything; operator: also rolls back and pins')
    .choices(ROLES)
    .makeOptionMandatory();

const LEAST = 12;

function secret(file: string): string {
  const text = readFileSync(file, 'utf8').trim();
  if (text.length < LEAST)
    throw new ConfigError('ECAVG_SECRET_FILE', `${file}: use a password of at least ${LEAST} characters`);
  return text;
}

function userCommand(open: Open): Command {
  const command = new Command('user').description('people who may sign in to the dashboard');
  command.addCommand(
    cloudSubcommand(
      'add',
      'add a user, or give one a new password; prints the password if it was made here',
      '  ecavg cloud user add anna --role operator --config cloud.yaml\n  ecavg cloud user add line-3 --role viewer --password-file secret.txt --config cloud.yaml',
    )
      .argument('<name>')
      .addOption(role())
      .option('--password-file <file>', 'take the password from a file')
      .action(async (name: string, _: object, self: Command) => {
        const { passwordFile, ...flags } = self.optsWithGlobals<Flags>();
        const accounts = await open(self);
        const given = passwordFile === undefined ? undefined : secret(passwordFile);
        const password = await accounts.setUser(name, flags.role, given);
        if (given === undefined) process.stdout.write(`${password}\n`);
        process.stderr.write(`${name} may sign in as ${flags.role}\n`);
      }),
  );
  command.addCommand(
    cloudSubcommand('list', 'list users and tokens', '  ecavg cloud user list --config cloud.yaml').action(
      async (_: object, self: Command) => {
        for (const { kind, name, role } of await (await open(self)).list())
          process.stdout.write(`${kind.padEnd(5)}  ${role.padEnd(8)}  ${name}\n`);
      },
    ),
  );
  command.addCommand(removal(open, 'users', 'user', 'a user; sessions end at once'));
  return command;
}

function tokenCommand(open: Open): Command {
  const command = new Command('api-token').description('tokens of programs that use the HTTP API');
  command.addCommand(
    cloudSubcommand(
      'add',
      'make a token, or a new one of that name; it is printed once and kept nowhere',
      '  ecavg cloud api-token add prometheus --role viewer --config cloud.yaml > token.txt',
    )
      .argument('<name>')
      .addOption(role())
      .action(async (name: string, _: object, self: Command) => {
        const { role } = self.optsWithGlobals<Flags>();
        process.stdout.write(`${await (await open(self)).setToken(name, role)}\n`);
      }),
  );
  command.addCommand(removal(open, 'tokens', 'api-token', 'a token'));
  return command;
}

const removal = (open: Open, kind: 'users' | 'tokens', command: string, what: string): Command =>
  cloudSubcommand('remove', `remove ${what}`, `  ecavg cloud ${command} remove NAME --config cloud.yaml`)
    .argument('<name>')
    .action(async (name: string, _: object, self: Command) => {
      if (!(await (await open(self)).remove(kind, name)))
        throw new ConfigError('ECAVG_NOT_FOUND', `there is no ${name}: "ecavg cloud user list" lists users and tokens`);
      process.stderr.write(`${name} is removed\n`);
    });

/** Subcommands of `ecavg cloud` that manage who may use its HTTP. */
export function accountCommands(read: ReadSettings): Command[] {
  const open: Open = async (command) => {
    const { Accounts } = await import('../http/accounts.js');
    return Accounts.open((await read(command.optsWithGlobals<CloudFlags>())).dataDir);
  };
  return [userCommand(open), tokenCommand(open)];
}
