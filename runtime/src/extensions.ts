import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { ConfigError } from './errors.js';
import type { RecordTable } from './records.js';

/** Version of the contract between ecavg and its extensions; see docs/extensions.md. */
export const EXTENSION_FORMAT = 1;

/** Kinds of records that an extension may add: to the cloud, or to gateways. A daemon takes those of its own. */
export const EXTENSION_KINDS = ['combiners', 'weightings', 'sources', 'transforms'] as const;
export type ExtensionKind = (typeof EXTENSION_KINDS)[number];

/** The tables of a daemon that take an extension's records. */
// biome-ignore lint/complexity/noBannedTypes: tables of any record
export type ExtensionTables = Readonly<Partial<Record<ExtensionKind, RecordTable<{}>>>>;

/** ES modules that add records, by path from the settings file or by package name. */
export const extensionsSchema = z.array(z.string().min(1)).max(64).default([]);

const records = z
  .record(
    z.string(),
    z.custom<object>((v) => typeof v === 'object' && v !== null),
  )
  .default({});
const moduleSchema = z.looseObject({
  extension: z.strictObject({
    format: z.literal(EXTENSION_FORMAT),
    ...Object.fromEntries(EXTENSION_KINDS.map((kind) => [kind, records])),
  }),
});

/**
 * Loads the modules that settings name under `extensions` and adds their records; before the settings are checked, as these may name them.
 * A module exports `extension = { format: 1, combiners: { name: record } }`.
 * @param file of the settings, from which relative paths count; undefined: the working folder.
 * @throws ConfigError in one sentence: a module that can't be loaded or throws, a wrong shape, a name that is taken.
 */
export async function loadExtensions(
  settings: Readonly<Record<string, unknown>>,
  file: string | undefined,
  tables: ExtensionTables,
): Promise<void> {
  const wanted = extensionsSchema.safeParse(settings.extensions);
  // What is no list of names, the schema of the settings says.
  if (!wanted.success) return;
  for (const name of wanted.data) {
    const where = `extension ${name}`;
    let loaded: unknown;
    try {
      loaded = await import(addressOf(name, file));
    } catch (cause) {
      throw new ConfigError(`${where} can't be loaded: ${(cause as Error).message.split('\n')[0]}`, { cause });
    }
    const result = moduleSchema.safeParse(loaded);
    if (!result.success) {
      const [issue] = result.error.issues;
      throw new ConfigError(`${where}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is of another shape'}`);
    }
    for (const kind of EXTENSION_KINDS) {
      const added = Object.entries(
        (result.data.extension as unknown as Record<ExtensionKind, Record<string, object>>)[kind],
      );
      for (const [record, value] of tables[kind] ? added : []) {
        try {
          tables[kind]?.add(record, value);
        } catch (cause) {
          throw new ConfigError(`${where}: ${(cause as Error).message}`, { cause });
        }
      }
    }
  }
}

/** Paths start with a dot or a slash; all else is the name of a package that is installed where the settings are. */
function addressOf(name: string, file: string | undefined): string {
  const folder = file ? dirname(resolve(file)) : process.cwd();
  if (name.startsWith('.') || isAbsolute(name)) return pathToFileURL(resolve(folder, name)).href;
  return pathToFileURL(createRequire(join(folder, 'settings.js')).resolve(name)).href;
}
