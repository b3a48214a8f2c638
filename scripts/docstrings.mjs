// Names what `@ecavg/protocol` and `@ecavg/models` export without a docstring: part of `npm run lint`; with --names it prints what they export.
// It reads the sources as text, from each package's index.ts along its exports: `export {} from`, `export * from`, imported and local names.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const ENTRIES = ['protocol/src/index.ts', 'models/src/index.ts'];
const KINDS = 'abstract class|class|interface|type|enum|const enum|const|let|function\\*?|async function\\*?|namespace';

const texts = new Map();
function textOf(path) {
  if (!texts.has(path)) texts.set(path, readFileSync(join(ROOT, path), 'utf8'));
  return texts.get(path);
}

const besides = (path, from) => join(dirname(path), from.replace(/\.js$/, '.ts'));

/** The names in braces, as [name there, name here] with `type` and `as` resolved. */
const names = (list) =>
  list
    .split(',')
    .map((n) => n.trim().replace(/^type\s+/, ''))
    .filter(Boolean)
    .map((n) => n.split(/\s+as\s+/))
    .map(([there, here = there]) => [there, here]);

/** `export {...} from`, `export {...}` and `import {...} from` of a file: where each name comes from. */
function* lists(path, keyword) {
  const form = new RegExp(`^${keyword}\\s+(?:type\\s+)?\\{([^}]*)\\}(?:\\s+from\\s+'([^']+)')?`, 'gm');
  for (const [, list, from] of textOf(path).matchAll(form)) for (const pair of names(list)) yield [...pair, from];
}

/** Every name that a file exports. */
function exported(path) {
  const text = textOf(path);
  const all = [...lists(path, 'export')].map(([, here]) => here);
  for (const [, from] of text.matchAll(/^export \* from '([^']+)'/gm)) all.push(...exported(besides(path, from)));
  for (const [, name] of text.matchAll(new RegExp(`^export (?:declare )?(?:${KINDS}) (\\w+)`, 'gm'))) all.push(name);
  return [...new Set(all)];
}

/** Where a name is declared, and whether a docstring stands right above it; undefined where it is not this file's. */
function declaration(path, name) {
  const text = textOf(path);
  const own = new RegExp(`^(?:export )?(?:declare )?(?:${KINDS}) ${name}\\b`, 'm').exec(text);
  if (own) {
    const line = text.slice(0, own.index).split('\n').length;
    const above = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.exec(text.slice(0, own.index));
    return { path, line, said: above !== null && above[0].replace(/[\s*/]/g, '').length >= 10 };
  }
  for (const keyword of ['export', 'import'])
    for (const [there, here, from] of lists(path, keyword))
      if (here === name && from?.startsWith('.')) return declaration(besides(path, from), there);
  for (const [, from] of text.matchAll(/^export \* from '([^']+)'/gm)) {
    const found = exported(besides(path, from)).includes(name) && declaration(besides(path, from), name);
    if (found) return found;
  }
  return undefined;
}

for (const entry of ENTRIES) {
  const all = exported(entry);
  if (all.length === 0) throw new Error(`${entry} exports nothing that was found`);
  for (const name of all) {
    if (process.argv.includes('--names')) {
      process.stdout.write(`${entry} ${name}\n`);
      continue;
    }
    const found = declaration(entry, name);
    if (found?.said) continue;
    const where = found ? `${found.path}:${found.line}` : entry;
    process.stderr.write(`${where}: ${name} is exported and has no docstring\n`);
    process.exitCode = 1;
  }
}
