import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { sha256Hex } from '@ecavg/protocol';
import { ConfigError, hashPassword, isPassword, newPassword, readJson, stampOf, writeDurable } from '@ecavg/runtime';
import { z } from 'zod';
import { ROLES, type Role } from './roles.js';

export const roleSchema = z.enum(ROLES);

const fileSchema = z.object({
  format: z.literal(1),
  users: z.record(z.string(), z.object({ role: roleSchema, hash: z.string() })),
  /** Tokens of programs; of each only the sha256 is kept, which is enough for 192 random bits. */
  tokens: z.record(z.string(), z.object({ role: roleSchema, hash: z.string() })),
});
type AccountsFile = z.output<typeof fileSchema>;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/;
const FIRST = 'operator';

/** People and programs that may use the cloud's HTTP, in a file that commands and the running cloud both use. */
export class Accounts {
  #file: AccountsFile = { format: 1, users: {}, tokens: {} };
  #stamp = '';

  private constructor(private readonly path: string) {}

  static async open(dataDir: string): Promise<Accounts> {
    const accounts = new Accounts(join(dataDir, 'http', 'accounts.json'));
    await accounts.#reload();
    return accounts;
  }

  /** A user as it is now; `hash` changes with the password. */
  async user(name: string): Promise<{ role: Role; hash: string } | undefined> {
    await this.#reload();
    return own(this.#file.users, name);
  }

  async list(): Promise<{ kind: 'user' | 'token'; name: string; role: Role }[]> {
    await this.#reload();
    const { users, tokens } = this.#file;
    return [
      ...Object.entries(users).map(([name, { role }]) => ({ kind: 'user' as const, name, role })),
      ...Object.entries(tokens).map(([name, { role }]) => ({ kind: 'token' as const, name, role })),
    ];
  }

  /** The user; undefined where name or password is wrong. */
  async signIn(name: string, password: string): Promise<{ role: Role; hash: string } | undefined> {
    await this.#reload();
    const user = own(this.#file.users, name);
    return (await isPassword(password, user?.hash)) ? user : undefined;
  }

  /** The name and role of a program's token. */
  async ofToken(token: string): Promise<{ name: string; role: Role } | undefined> {
    await this.#reload();
    const hash = sha256Hex(token);
    const found = Object.entries(this.#file.tokens).find(([, t]) => t.hash === hash);
    return found && { name: found[0], role: found[1].role };
  }

  /** Adds a user or gives one a new password, which is returned. */
  async setUser(name: string, role: Role, password = newPassword()): Promise<string> {
    await this.#reload();
    const { users } = this.#file;
    await this.#save({
      ...this.#file,
      users: { ...users, [checked(name)]: { role, hash: await hashPassword(password) } },
    });
    return password;
  }

  /** Makes a token, which is returned and kept nowhere. */
  async setToken(name: string, role: Role): Promise<string> {
    await this.#reload();
    const token = `ecavg_${randomBytes(24).toString('base64url')}`;
    const { tokens } = this.#file;
    await this.#save({ ...this.#file, tokens: { ...tokens, [checked(name)]: { role, hash: sha256Hex(token) } } });
    return token;
  }

  async remove(kind: 'users' | 'tokens', name: string): Promise<boolean> {
    await this.#reload();
    if (!own(this.#file[kind], name)) return false;
    const { [name]: _, ...others } = this.#file[kind];
    await this.#save({ ...this.#file, [kind]: others });
    return true;
  }

  /** Where there is no user yet: makes one, and says in which file its password is. */
  async first(): Promise<{ user: string; passwordFile: string } | undefined> {
    if (Object.keys(this.#file.users).length > 0) return undefined;
    const passwordFile = join(this.path, '..', 'first-password');
    const password = newPassword();
    await writeDurable(passwordFile, `${password}\n`, 0o600);
    await this.setUser(FIRST, 'operator', password);
    return { user: FIRST, passwordFile };
  }

  async #reload(): Promise<void> {
    const stamp = await stampOf(this.path);
    if (stamp === this.#stamp) return;
    this.#file = (await readJson(this.path, fileSchema)) ?? { format: 1, users: {}, tokens: {} };
    this.#stamp = stamp;
  }

  async #save(file: AccountsFile): Promise<void> {
    await writeDurable(this.path, `${JSON.stringify(file, null, 2)}\n`, 0o600);
    this.#file = file;
    this.#stamp = await stampOf(this.path);
  }
}

function checked(name: string): string {
  if (NAME.test(name)) return name;
  throw new ConfigError(
    `name ${JSON.stringify(name)}: use 1-64 letters, digits, "_", "-", "@" or ".", starting with a letter or digit`,
  );
}

const own = <T>(of: Record<string, T>, name: string): T | undefined => (Object.hasOwn(of, name) ? of[name] : undefined);
