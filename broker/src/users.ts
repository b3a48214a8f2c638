import { timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { sha256Hex } from '@ecavg/protocol';
import {
  ConfigError,
  hashPassword,
  isPassword,
  newPassword,
  StateFile,
  StateFormat,
  WatchedFile,
} from '@ecavg/runtime';
import { z } from 'zod';

const roleSchema = z.object({ publish: z.array(z.string()), subscribe: z.array(z.string()) });
const userSchema = z.object({
  role: z.string(),
  /** Topic level of its fleet; `*`: every fleet. */
  fleet: z.string(),
  /** Absent: no password is good enough, only a certificate or a token. */
  hash: z.string().optional(),
  /** A client certificate with this name does without a password. */
  certificate: z.boolean().default(false),
  /** sha256 of a one-time token, and until when it is good. */
  token: z.object({ hash: z.string(), expiresAt: z.number() }).optional(),
});
const fileSchema = z.object({
  users: z.record(z.string(), userSchema),
  /** Beside the built-in ones, or in place of them. */
  roles: z.record(z.string(), roleSchema).default({}),
});

export type User = z.output<typeof userSchema>;
export type UsersFile = z.output<typeof fileSchema>;

const usersFormat = new StateFormat({
  kind: 'users of the broker',
  at: {},
  setting: 'usersFile',
  holds: 'users with their roles and the hashes of passwords and one-time tokens',
  removed: 'no: the broker does not start without users',
  format: 1,
  encoding: 'json-indented',
  mode: 0o600,
  schema: fileSchema,
  migrations: {},
});

const USER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const TOKEN_SEPARATOR = ':';

/** Users and roles in a file that commands and the running broker both use. */
export class Users {
  private constructor(private readonly kept: WatchedFile<UsersFile>) {}

  static async open(path: string): Promise<Users> {
    const kept = new WatchedFile<UsersFile>(new StateFile(path, usersFormat), { users: {}, roles: {} });
    await kept.reload();
    return new Users(kept);
  }

  get path(): string {
    return this.kept.path;
  }

  get file(): UsersFile {
    return this.kept.value;
  }

  get(name: string): User | undefined {
    return Object.hasOwn(this.kept.value.users, name) ? this.kept.value.users[name] : undefined;
  }

  /** Reads the file again where it has changed; throws where it is damaged, and goes on with what was known. */
  async reload(): Promise<void> {
    await this.kept.reload();
  }

  /** @throws ConfigError for a name that is no topic level. */
  async set(name: string, user: User): Promise<void> {
    if (!USER.test(name))
      throw new ConfigError(
        'ECAVG_NAME',
        `user ${JSON.stringify(name)}: use 1-64 letters, digits, "_", "-" or ".", starting with a letter or digit`,
      );
    await this.#save({ ...this.kept.value.users, [name]: user });
  }

  async remove(name: string): Promise<boolean> {
    if (!this.get(name)) return false;
    const { [name]: _, ...others } = this.kept.value.users;
    await this.#save(others);
    return true;
  }

  /** Sets a password, a new one where none is given, and returns it. */
  async setPassword(name: string, user: Omit<User, 'hash'>, password = newPassword()): Promise<string> {
    await this.set(name, { ...user, hash: await hashPassword(password) });
    return password;
  }

  /** A one-time token with which `name` sets its own password. */
  async giveToken(name: string, user: Omit<User, 'hash' | 'token'>, expiresAt: number): Promise<string> {
    const token = newPassword();
    const known = this.get(name);
    await this.set(name, {
      ...user,
      ...(known?.hash && { hash: known.hash }),
      token: { hash: sha256Hex(token), expiresAt },
    });
    return token;
  }

  /**
   * Whether these words are the user's. `token:password`, as a gateway says it that was given a token, sets the password
   * the first time and is as good as the password ever after.
   */
  async check(name: string, words: string): Promise<boolean> {
    const user = this.get(name);
    // The same work for a user that there is not.
    if (!user) return isPassword(words, undefined);
    const at = words.indexOf(TOKEN_SEPARATOR);
    const [token, password] = at > 0 ? [words.slice(0, at), words.slice(at + 1)] : [undefined, words];
    const { token: pending } = user;
    if (token !== undefined && pending && password.length >= 12 && pending.expiresAt > Date.now()) {
      if (sameBytes(sha256Hex(token), pending.hash)) {
        const { token: _, ...rest } = user;
        await this.set(name, { ...rest, hash: await hashPassword(password) });
        return true;
      }
    }
    if (!user.hash) return false;
    return (await isPassword(words, user.hash)) || (token !== undefined && (await isPassword(password, user.hash)));
  }

  async #save(users: UsersFile['users']): Promise<void> {
    await this.kept.write({ ...this.kept.value, users });
  }
}

export const usersPath = (folder: string): string => join(folder, 'users.json');

const sameBytes = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
