// Writes the tables of docs/ that follow from the code: `npm run generate:docs`; with --check it only says which are stale.
// A built module */dist/**/docTables.js exports `docTables = { name: () => text }`; what it makes stands in a file of docs/, or in
// README.md or CONTRIBUTING.md, between the lines `<!-- made of NAME: npm run generate:docs -->` and `<!-- end of NAME -->`. A NAME with
// a slash is a file's path from the root: what stands there is that file.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PACKAGES = ['protocol', 'runtime', 'models', 'broker', 'edge', 'cloud', 'cli', 'deploy', 'bench'];
const PLACE = /(<!-- made of ([\w./-]+): npm run generate:docs -->\n)[\s\S]*?(<!-- end of \2 -->)/g;

const filesBelow = (folder, fits) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((e) => e.isFile() && fits(e.name))
        .map((e) => join(e.parentPath ?? e.path, e.name))
        .sort()
    : [];

/** Every table by name. */
async function allTables() {
  const tables = new Map();
  for (const file of PACKAGES.flatMap((p) => filesBelow(join(ROOT, p, 'dist'), (name) => name === 'docTables.js'))) {
    const { docTables } = await import(pathToFileURL(file).href);
    for (const [name, make] of Object.entries(docTables)) {
      if (tables.has(name)) throw new Error(`there are two tables ${name}`);
      tables.set(name, make);
    }
  }
  return tables;
}

/** A file as a block of code. */
const block = (path) =>
  `\`\`\`${extname(path).slice(1).replace('mjs', 'js')}\n${readFileSync(join(ROOT, path), 'utf8').trim()}\n\`\`\``;

/** The files as they should be, by path from the root. */
async function made() {
  const tables = await allTables();
  const used = new Set();
  const files = new Map();
  const docs = filesBelow(join(ROOT, 'docs'), (name) => name.endsWith('.md')).map((f) => f.slice(ROOT.length));
  for (const path of [...docs, 'README.md', 'CONTRIBUTING.md']) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    const texts = new Map();
    for (const [, , name] of text.matchAll(PLACE)) {
      const make = name.includes('/') ? () => block(name) : tables.get(name);
      if (!make) throw new Error(`${path}: there is no table ${name}; there are ${[...tables.keys()].join(', ')}`);
      texts.set(name, await make());
      used.add(name);
    }
    if (texts.size > 0)
      files.set(path, {
        there: text,
        wanted: text.replace(PLACE, (_, start, name, end) => `${start}\n${texts.get(name).trim()}\n\n${end}`),
      });
  }
  const nowhere = [...tables.keys()].filter((name) => !used.has(name));
  if (nowhere.length > 0) throw new Error(`no document has a place for the table ${nowhere.join(', ')}`);
  return files;
}

const check = process.argv.includes('--check');
for (const [path, { there, wanted }] of await made()) {
  if (there === wanted) continue;
  if (check) {
    process.stderr.write(`${path} is stale: npm run generate:docs\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(ROOT, path), wanted);
    process.stdout.write(`${path}\n`);
  }
}
