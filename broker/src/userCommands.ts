import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError, DAY_MS, duration } from '@ecavg/runtime/commandLine';
import { Command } from 'commander';
import { ROLES } from './acl.js';
import type { Users } from './users.js';

interface Flags {
  readonly config?: string;
  readonly role?: string;
  readonly fleet?: string;
  readonly passwordFile?: string;
  readonly certificate?: boolean;
  readonly valid?: number;
  readonly dir?: string;
  readonly host?: string[];
  readonly user?: string;
}

async function usersOf(command: Command): Promise<{ users: Users; flags: Flags }> {
  const [{ loadConfig }, { brokerConfigSchema }, { Users }] = await Promise.all([
    import('@ecavg/runtime'),
    import('./config.js'),
    import('./users.js'),
  ]);
  const flags = command.optsWithGlobals<Flags>();
  const { usersFile } = await loadConfig(brokerConfigSchema, {
    file: flags.config,
    env: { prefix: 'ECAVG_BROKER_', variables: process.env },
  });
  if (usersFile === undefined)
    throw new ConfigError(
      'ECAVG_BROKER_USERS',
      'the settings name no usersFile: add one, or make a whole set with "ecavg broker init"',
    );
  return { users: await Users.open(usersFile), flags };
}

function about(users: Users, { role = '', fleet = '*', certificate }: Flags) {
  const roles = [...Object.keys(ROLES), ...Object.keys(users.file.roles)];
  if (!roles.includes(role))
    throw new ConfigError('ECAVG_NOT_FOUND', `no role ${JSON.stringify(role)}: there are ${roles.join(', ')}`);
  return { role, fleet, certificate: certificate === true };
}

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const withConfig = (name: string, description: string): Command =>
  new Command(name).description(description).option('-c, --config <file>', "the broker's YAML file");

const withRole = (command: Command): Command =>
  command
    .requiredOption('--role <role>', `what it may do: ${Object.keys(ROLES).join(', ')}, or one of the users file`)
    .option('--fleet <name>', 'the fleet whose topics it may use; *: every fleet', '*')
    .option('--certificate', 'a client certificate with its name does without a password');

function userCommand(): Command {
  const command = new Command('user').description('add, list and remove users; a running broker follows at once');
  command.addHelpText(
    'after',
    `
Examples:
  ecavg broker user add press-shop-1 --config broker.yaml --role edge --fleet plant-1 > password.txt
  ecavg broker user add cloud --config broker.yaml --role cloud --password-file secret.txt
  ecavg broker user token press-shop-2 --config broker.yaml --role edge --fleet plant-1   # it sets its own password
  ecavg broker user list --config broker.yaml
  ecavg broker user remove press-shop-1 --config broker.yaml`,
  );
  command.addCommand(
    withRole(withConfig('add', 'add a user, or give one a new password; prints the password if it was made here'))
      .argument('<name>', "an edge's is its name in the fleet")
      .option('--password-file <file>', 'take the password from a file')
      .action(async (name: string, _: object, self: Command) => {
        const { users, flags } = await usersOf(self);
        const given = flags.passwordFile === undefined ? undefined : secret(flags.passwordFile);
        const password = await users.setPassword(name, about(users, flags), given);
        if (given === undefined) out(password);
        say(`${name} may connect as ${flags.role}`);
      }),
  );
  command.addCommand(
    withRole(
      withConfig('token', 'print a one-time token: broker.enrolTokenFile of an edge that makes its own password'),
    )
      .argument('<name>', "an edge's is its name in the fleet")
      .option('--valid <time>', 'for how long, as in 30m, 24h or 7d', duration, DAY_MS)
      .action(async (name: string, _: object, self: Command) => {
        const { users, flags } = await usersOf(self);
        out(await users.giveToken(name, about(users, flags), Date.now() + (flags.valid ?? DAY_MS)));
      }),
  );
  command.addCommand(
    withConfig('list', 'list users and roles').action(async (_: object, self: Command) => {
      const { users } = await usersOf(self);
      for (const [name, u] of Object.entries(users.file.users)) {
        const how = [u.hash && 'password', u.certificate && 'certificate', u.token && 'token']
          .filter(Boolean)
          .join(', ');
        out(`${name}  ${u.role}  fleet ${u.fleet}  ${how || 'can not log in'}`);
      }
    }),
  );
  command.addCommand(
    withConfig('remove', 'remove a user; its connection is closed')
      .argument('<name>')
      .action(async (name: string, _: object, self: Command) => {
        const { users } = await usersOf(self);
        if (!(await users.remove(name)))
          throw new ConfigError('ECAVG_NOT_FOUND', `no user ${name}: "ecavg broker user list" lists them`);
        say(`${name} is removed`);
      }),
  );
  return command;
}

function secret(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new ConfigError(
      'ECAVG_SECRET_FILE',
      `--password-file ${file} can't be read (${(cause as NodeJS.ErrnoException).code})`,
      {
        cause,
      },
    );
  }
}

const collect = (value: string, all: string[]): string[] => [...all, value];

/** Subcommands of `ecavg broker` that set it up. */
export function brokerSubcommands(): Command[] {
  const dir = (command: Command): Command => command.option('--dir <folder>', 'where the files are', './broker');
  return [
    dir(new Command('init'))
      .description('make a certificate authority, a server certificate, a first user and a file of settings')
      .option('--host <name>', 'a name or address by which the broker is reached; may be repeated', collect, [])
      .option('--user <name>', 'name of the first user, who may do everything', 'admin')
      .addHelpText(
        'after',
        '\nExample:\n  ecavg broker init --dir /etc/ecavg/broker --host broker.plant.example --host 10.0.0.5\n  ecavg broker --config /etc/ecavg/broker/broker.yaml',
      )
      .action(async (_: object, self: Command) => {
        const flags = self.optsWithGlobals<Flags>();
        const hosts = flags.host?.length ? flags.host : ['localhost', '127.0.0.1'];
        const { setUp } = await import('./setup.js');
        const made = await setUp(resolve(flags.dir ?? './broker'), hosts, flags.user ?? 'admin');
        say(`user ${made.user}; the password is said only here:`);
        out(made.password);
        say(
          `settings: ${made.configFile}\ncertificate authority, for caFile of cloud and edges: ${made.caFile}\nstart it: ecavg broker --config ${made.configFile}`,
        );
      }),
    dir(new Command('cert'))
      .description('make a client certificate of the broker’s authority, or renew the server’s')
      .argument('[name]', "user name; without one the server's certificate is renewed")
      .option('--host <name>', 'a name or address of the server; may be repeated', collect, [])
      .addHelpText(
        'after',
        '\nExamples:\n  ecavg broker cert press-shop-1 --dir /etc/ecavg/broker\n  ecavg broker cert --dir /etc/ecavg/broker --host broker.plant.example',
      )
      .action(async (name: string | undefined, _: object, self: Command) => {
        const flags = self.optsWithGlobals<Flags>();
        const folder = resolve(flags.dir ?? './broker');
        const { issueClientCertificate, renewServerCertificate } = await import('./setup.js');
        if (name !== undefined) return out(await issueClientCertificate(folder, name));
        await renewServerCertificate(folder, flags.host?.length ? flags.host : ['localhost', '127.0.0.1']);
        say("the server's certificate is renewed; a running broker takes it at once");
      }),
    userCommand(),
  ];
}
