import { readFileSync } from 'node:fs';
import { parse, stringify, YAMLParseError } from 'yaml';
import type { z } from 'zod';
import { ConfigError } from './errors.js';
import { type ExtensionTables, loadExtensions } from './extensions.js';

type Tree = Record<string, unknown>;

/** Where settings come from; later sources win: defaults of the schema, file, environment. */
export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string | undefined;
  /** Variables named `{prefix}{PATH}` override fields: ECAVG_EDGE_BROKER__URL sets broker.url. */
  readonly env?: { readonly prefix: string; readonly variables: NodeJS.ProcessEnv };
  /** What the modules that the settings name under `extensions` may add to. */
  readonly extensions?: ExtensionTables;
}

const SECRET = /password|token|secret|privatekey/i;
/** For addresses in settings, which are logged and printed. */
export const withoutCredentials = (url: string): boolean => !/^\w+:\/\/[^/]*@/.test(url);
export const CREDENTIALS = 'holds a password; put it in a file and name it with passwordFile, and set username';

const isTree = (v: unknown): v is Tree => typeof v === 'object' && v !== null && !Array.isArray(v);

/**
 * Reads, merges and checks a configuration; loads the extensions that it names.
 * @throws ConfigError that names the file or variable, the field, the value and what is expected.
 */
export async function loadConfig<T extends z.ZodType>(schema: T, sources: ConfigSources): Promise<z.output<T>> {
  const tree = sources.file ? readYaml(sources.file) : {};
  const origin = new Map<string, string>();
  if (sources.env) applyEnvironment(tree, sources.env.prefix, sources.env.variables, origin);
  if (sources.extensions) await loadExtensions(tree, sources.file, sources.extensions);
  const result = schema.safeParse(tree);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => {
    const path = issue.path.join('.');
    const key = issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : '';
    const where = origin.get(path) ?? (sources.file ? sources.file : 'defaults');
    const value = valueAt(tree, issue.path);
    const secret = SECRET.test(path) || (typeof value === 'string' && !withoutCredentials(value));
    const shown = value === undefined ? '' : ` is ${secret ? '[hidden]' : JSON.stringify(value)}`;
    return key
      ? `${where}: unknown field ${[path, key].filter(Boolean).join('.')}: remove it or correct its name`
      : `${where}: ${path || '(top level)'}${isTree(value) ? '' : shown}: ${issue.message}`;
  });
  throw new ConfigError('ECAVG_CONFIG_FIELD', lines.join('\n'));
}

/** The configuration in force as YAML, secrets hidden: what `--print-config` prints. */
export function printConfig(config: unknown): string {
  return stringify(hideSecrets(config));
}

function hideSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hideSecrets);
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([k, v]) => [k, SECRET.test(k) && typeof v === 'string' ? '[hidden]' : hideSecrets(v)]),
  );
}

function readYaml(file: string): Tree {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new ConfigError(
      'ECAVG_CONFIG_FILE',
      `config file ${file} can't be read (${code}): check the path given with --config`,
      { cause },
    );
  }
  try {
    const tree: unknown = parse(text) ?? {};
    if (!isTree(tree)) throw new ConfigError('ECAVG_CONFIG_FILE', `config file ${file} must hold a map of fields`);
    return tree;
  } catch (cause) {
    if (cause instanceof YAMLParseError)
      throw new ConfigError('ECAVG_CONFIG_YAML', `config file ${file} is not YAML: ${cause.message}`, { cause });
    throw cause;
  }
}

function applyEnvironment(tree: Tree, prefix: string, variables: NodeJS.ProcessEnv, origin: Map<string, string>): void {
  for (const [name, text] of Object.entries(variables)) {
    if (!name.startsWith(prefix) || text === undefined) continue;
    const path = name.slice(prefix.length).split('__').map(camelCase);
    let node = tree;
    for (const key of path.slice(0, -1)) {
      const child = node[key];
      node = isTree(child) ? child : {};
      setAt(tree, path.slice(0, path.indexOf(key) + 1), node);
    }
    setAt(tree, path, scalar(text));
    origin.set(path.join('.'), `environment variable ${name}`);
  }
}

function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree;
  for (const key of path.slice(0, -1)) {
    if (!isTree(node[key])) node[key] = {};
    node = node[key] as Tree;
  }
  node[path.at(-1) as string] = value;
}

/** DEADLINE_SECONDS -> deadlineSeconds */
function camelCase(upper: string): string {
  return upper.toLowerCase().replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}

/** Numbers, booleans and lists as YAML reads them; text stays text. */
function scalar(text: string): unknown {
  const value: unknown = parse(text);
  return value === null ? text : value;
}

function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  let value = tree;
  for (const key of path) value = isTree(value) || Array.isArray(value) ? (value as Tree)[key as string] : undefined;
  return value;
}
