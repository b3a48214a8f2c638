import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { sha256Hex } from '@ecavg/protocol';
import {
  ConfigError,
  hashPassword,
  isPassword,
  newPassword,
  opaqueState,
  StateFile,
  StateFormat,
  WatchedFile,
  writeDurable,
} from '@ecavg/runtime';
import { z } from 'zod';
import { ROLES, type Role } from './roles.js';

export const roleSchema = z.enum(ROLES);

const fileSchema = z.object({
  users: z.record(z.string(), z.object({ role: roleSchema, hash: z.string() })),
  /** Tokens of programs; of each only the sha256 is kept, which is enough for 192 random bits. */
  tokens: z.record(z.string(), z.object({ role: roleSchema, hash: z.string() })),
});
type AccountsFile = z.output<typeof fileSchema>;

const accountsFormat = new StateFormat({
  kind: 'accounts',
  shared: true,
  at: { cloud: 'http/accounts.json' },
  holds: 'users with the hashes of their passwords, and the hashes of tokens of programs',
  removed: 'nobody can sign in; the next start makes a first user',
  format: 1,
  encoding: 'json-indented',
  mode: 0o600,
  schema: fileSchema,
  migrations: {},
});

opaqueState({
  kind: 'first password',
  at: { cloud: 'http/first-password' },
  holds: 'the password of the first user, for who set the cloud up',
  told: 'a secret, one line of text',
  removed: 'safe once it was read, and better so',
});

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/;
const FIRST = 'operator';

/** People and programs that may use the cloud's HTTP, in a file that commands and the running cloud both use. */
export class Accounts {
  private constructor(private readonly file: WatchedFile<AccountsFile>) {}

  static async open(dataDir: string): Promise<Accounts> {
    const kept = new StateFile(join(dataDir, 'http', 'accounts.json'), accountsFormat);
    const file = new WatchedFile<AccountsFile>(kept, { users: {}, tokens: {} });
    await file.reload();
    return new Accounts(file);
  }

  /** A user as it is now; `hash` changes with the password. */
  async user(name: string): Promise<{ role: Role; hash: string } | undefined> {
    await this.file.reload();
    return own(this.file.value.users, name);
  }

  async list(): Promise<{ kind: 'user' | 'token'; name: string; role: Role }[]> {
    await this.file.reload();
    const { users, tokens } = this.file.value;
    return [
      ...Object.entries(users).map(([name, { role }]) => ({ kind: 'user' as const, name, role })),
      ...Object.entries(tokens).map(([name, { role }]) => ({ kind: 'token' as const, name, role })),
    ];
  }

  /** The user; undefined where name or password is wrong. */
  async signIn(name: string, password: string): Promise<{ role: Role; hash: string } | undefined> {
    await this.file.reload();
    const user = own(this.file.value.users, name);
    return (await isPassword(password, user?.hash)) ? user : undefined;
  }

  /** The name and role of a program's token. */
  async ofToken(token: string): Promise<{ name: string; role: Role } | undefined> {
    await this.file.reload();
    const hash = sha256Hex(token);
    const found = Object.entries(this.file.value.tokens).find(([, t]) => t.hash === hash);
    return found && { name: found[0], role: found[1].role };
  }

  /** Adds a user or gives one a new password, which is returned. */
  async setUser(name: string, role: Role, password = newPassword()): Promise<string> {
    await this.file.reload();
    const { users } = this.file.value;
    await this.file.write({
      ...this.file.value,
      users: { ...users, [checked(name)]: { role, hash: await hashPassword(password) } },
    });
    return password;
  }

  /** Makes a token, which is returned and kept nowhere. */
  async setToken(name: string, role: Role): Promise<string> {
    await this.file.reload();
    const token = `ecavg_${randomBytes(24).toString('base64url')}`;
    const { tokens } = this.file.value;
    await this.file.write({
      ...this.file.value,
      tokens: { ...tokens, [checked(name)]: { role, hash: sha256Hex(token) } },
    });
    return token;
  }

  async remove(kind: 'users' | 'tokens', name: string): Promise<boolean> {
    await this.file.reload();
    if (!own(this.file.value[kind], name)) return false;
    const { [name]: _, ...others } = this.file.value[kind];
    await this.file.write({ ...this.file.value, [kind]: others });
    return true;
  }

  /** Where there is no user yet: makes one, and says in which file its password is. */
  async first(): Promise<{ user: string; passwordFile: string } | undefined> {
    if (Object.keys(this.file.value.users).length > 0) return undefined;
    const passwordFile = join(this.file.path, '..', 'first-password');
    const password = newPassword();
    await writeDurable(passwordFile, `${password}\n`, 0o600);
    await this.setUser(FIRST, 'operator', password);
    return { user: FIRST, passwordFile };
  }
}

function checked(name: string): string {
  if (NAME.test(name)) return name;
  throw new ConfigError(
    'ECAVG_NAME',
    `name ${JSON.stringify(name)}: use 1-64 letters, digits, "_", "-", "@" or ".", starting with a letter or digit`,
  );
}

const own = <T>(of: Record<string, T>, name: string): T | undefined => (Object.hasOwn(of, name) ? of[name] : undefined);
