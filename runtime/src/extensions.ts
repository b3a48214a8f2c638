import { existsSync, readFileSync, statSync } from 'node:fs';
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
export type ExtensionTables = Readonly<Partial<Record<ExtensionKind, Pick<RecordTable<object>, 'add'>>>>;

/** ES modules that add records, by path from the settings file or by package name. */
export const extensionsSchema = z.array(z.string().min(1)).max(64).default([]);

/** A module that has not loaded by then never will: it waits for something at its top level. */
const LOAD_MS = 30_000;

type Tree = Readonly<Record<string, unknown>>;
const isTree = (v: unknown): v is Tree => typeof v === 'object' && v !== null && !Array.isArray(v);

/**
 * Loads the modules that settings name under `extensions` and adds their records; before the settings are checked, as these may name them.
 * A module exports `extension = { format: 1, combiners: { name: record } }`.
 * @param file of the settings, from which relative paths count; undefined: the working folder.
 * @throws ConfigError in one sentence: a module that can't be loaded or throws, a wrong shape, a name that is taken.
 */
export async function loadExtensions(settings: Tree, file: string | undefined, tables: ExtensionTables): Promise<void> {
  const wanted = extensionsSchema.safeParse(settings.extensions);
  // What is no list of names, the schema of the settings says.
  if (!wanted.success) return;
  for (const name of wanted.data) {
    try {
      addRecords(await load(name, file ? dirname(resolve(file)) : process.cwd()), tables);
    } catch (cause) {
      throw new ConfigError(
        cause instanceof ConfigError ? cause.code : 'ECAVG_EXTENSION_LOAD',
        `extension ${name}: ${cause instanceof ConfigError ? cause.message : reason(cause)}`,
        {
          cause,
        },
      );
    }
  }
}

/** What a module threw, in one line: it may throw anything. */
function reason(cause: unknown): string {
  const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  const where = cause instanceof SyntaxError ? '; node --check says where' : '';
  return `it can't be loaded: ${text.split('\n')[0]}${where}`;
}

async function load(name: string, folder: string): Promise<Tree> {
  const address = pathToFileURL(fileOf(name, folder)).href;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    const error = new ConfigError(
      'ECAVG_EXTENSION_LOAD',
      `it has not loaded within ${LOAD_MS / 1000} s: what does it wait for at its top level?`,
    );
    timer = setTimeout(() => fail(error), LOAD_MS);
  });
  try {
    return (await Promise.race([import(address), late])) as Tree;
  } finally {
    clearTimeout(timer);
  }
}

/** Paths start with a dot or a slash; all else is the name of a package that is installed where the settings are. */
function fileOf(name: string, folder: string): string {
  if (!name.startsWith('.') && !isAbsolute(name)) return packageFile(name, folder);
  const path = resolve(folder, name);
  if (!existsSync(path))
    throw new ConfigError('ECAVG_EXTENSION_LOAD', `there is no file ${path}; paths count from the settings file`);
  if (statSync(path).isDirectory())
    throw new ConfigError('ECAVG_EXTENSION_LOAD', `${path} is a folder: name the file in it`);
  return path;
}

/** The file that `import` takes for a package, seen from `folder`; `require` does not know packages that have ES modules only. */
function packageFile(name: string, folder: string): string {
  const parts = name.split('/');
  const own = parts.slice(0, name.startsWith('@') ? 2 : 1).join('/');
  for (let at = folder; ; at = dirname(at)) {
    const home = join(at, 'node_modules', own);
    if (existsSync(join(home, 'package.json'))) {
      const { exports } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { exports?: unknown };
      const entry = condition(entryOf(exports, `.${name.slice(own.length)}`));
      return entry ? join(home, entry) : createRequire(join(folder, 'settings.js')).resolve(name);
    }
    if (dirname(at) === at)
      throw new ConfigError(
        'ECAVG_EXTENSION_LOAD',
        `no package ${own} is installed in ${folder} or above; a path starts with ./ or /`,
      );
  }
}

function entryOf(exports: unknown, key: string): unknown {
  if (isTree(exports) && Object.keys(exports).some((k) => k.startsWith('.'))) return exports[key];
  return key === '.' ? exports : undefined;
}

/** The first that fits of `import`, `node` and `default`, as Node takes them in their order. */
function condition(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry;
  if (!isTree(entry)) return undefined;
  for (const [key, value] of Object.entries(entry)) {
    const found = ['import', 'node', 'default'].includes(key) ? condition(value) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** @throws ConfigError for a module of another shape. */
function addRecords(module: Tree, tables: ExtensionTables): void {
  const { extension } = module;
  if (extension === undefined) {
    const instead = 'default' in module ? ', but has a default export: give it that name' : '';
    throw new ConfigError('ECAVG_EXTENSION_SHAPE', `it exports no "extension"${instead}`);
  }
  if (!isTree(extension)) throw new ConfigError('ECAVG_EXTENSION_SHAPE', 'its "extension" is no object');
  const { format, ...kinds } = extension;
  if (format !== EXTENSION_FORMAT) {
    const said = format === undefined ? 'says no format' : `is of format ${JSON.stringify(format)}`;
    throw new ConfigError('ECAVG_EXTENSION_SHAPE', `it ${said}; this release takes format ${EXTENSION_FORMAT}`);
  }
  for (const [kind, records] of Object.entries(kinds)) {
    if (!(EXTENSION_KINDS as readonly string[]).includes(kind))
      throw new ConfigError(
        'ECAVG_EXTENSION_SHAPE',
        `there is no kind of record "${kind}"; there are ${EXTENSION_KINDS.join(', ')}`,
      );
    if (!isTree(records))
      throw new ConfigError('ECAVG_EXTENSION_SHAPE', `its ${kind} are no object of records by name`);
    const table = tables[kind as ExtensionKind];
    for (const [name, record] of table ? Object.entries(records) : []) table?.add(name, record);
  }
}
