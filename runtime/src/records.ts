import { z } from 'zod';
import { ConfigError } from './errors.js';

/** Names of records, as in settings. */
const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** A function of a record that an extension brings. */
export const functionSchema = z.custom<(...given: never[]) => unknown>(
  (v) => typeof v === 'function',
  'must be a function',
);

const firstLine = (text = ''): string => text.split('\n')[0] ?? '';

/**
 * Records of one kind by name: those of this release, which the type names one by one, and those that extensions add. What settings may
 * say, what docs list and what benches try follows from the table; nothing else names a record.
 */
export class RecordTable<T extends object, Name extends string = string> {
  readonly #records: Map<string, T>;

  /**
   * @param kind what one record is, as messages say it: `combiner`.
   * @param shape what an extension's record must be; its own fields are left as they are.
   */
  constructor(
    readonly kind: string,
    builtIn: Readonly<Record<Name, T>>,
    private readonly shape: z.ZodType,
  ) {
    this.#records = new Map(Object.entries<T>(builtIn));
  }

  /** In the order of the table; those of extensions come last. */
  get names(): string[] {
    return [...this.#records.keys()];
  }

  /** @throws ConfigError for a name that is not in the table: there is no default. */
  get(name: string): T {
    const record = this.#records.get(name);
    if (!record)
      throw new ConfigError(
        'ECAVG_RECORD_UNKNOWN',
        `there is no ${this.kind} ${name}; there are ${this.names.join(', ')}`,
      );
    return record;
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  get entries(): [name: string, record: T][] {
    return [...this.#records];
  }

  /**
   * Adds the record of an extension; the same one may be added again.
   * @throws ConfigError where the name is taken or no name, or the record is of another shape.
   */
  add(name: string, record: unknown): void {
    if (this.#records.get(name) === record) return;
    if (!NAME.test(name))
      throw new ConfigError(
        'ECAVG_EXTENSION_NAME',
        `${this.kind} "${name}": use small letters, digits and "-" in its name`,
      );
    if (this.#records.has(name))
      throw new ConfigError('ECAVG_EXTENSION_NAME', `${this.kind} "${name}": the name is taken`);
    const result = this.shape.safeParse(record);
    if (!result.success) {
      const [issue] = result.error.issues;
      const at = issue?.path.length ? `.${issue.path.join('.')}` : '';
      throw new ConfigError(
        'ECAVG_EXTENSION_SHAPE',
        `${this.kind} "${name}"${at}: ${firstLine(issue?.message) || 'is of another shape'}`,
      );
    }
    // As it came: a class's instance has methods that a parsed copy has not.
    this.#records.set(name, record as T);
  }

  /** A name of this table, for settings. Looked up when it is parsed, so that names which came meanwhile count. */
  get schema(): z.ZodType<string, string> {
    return z.string().superRefine((name, context) => {
      if (!this.#records.has(name))
        context.addIssue({
          code: 'custom',
          message: `there is no such ${this.kind}; there are ${this.names.join(', ')}`,
        });
    });
  }
}
