// Part of `npm run lint`: prose in Markdown wraps at 120 characters, and every relative link leads somewhere, its heading included.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const WIDTH = 120;
const LINK = /\]\(([^)\s]+)\)/g;

/** As GitHub names headings in addresses. */
const anchorOf = (heading) =>
  heading
    .replace(/`/g, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/** A file's lines outside of code. */
function prose(text) {
  let code = false;
  return text.split('\n').map((line) => {
    const fence = /^\s*```/.test(line);
    if (fence) code = !code;
    return { line, code: code || fence };
  });
}

const anchors = new Map();
function anchorsOf(path) {
  if (!anchors.has(path)) {
    const lines = prose(readFileSync(path, 'utf8')).filter(({ line, code }) => !code && /^#+ /.test(line));
    anchors.set(path, new Set(lines.map(({ line }) => anchorOf(line.replace(/^#+ /, '').trim()))));
  }
  return anchors.get(path);
}

/** Folders with text of others, or with what is made. */
const LEFT_OUT = new Set(['node_modules', 'dist', '.git', 'fixtures', 'coverage', 'data']);

function markdownBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((e) => {
    const path = join(folder, e.name);
    if (e.isDirectory()) return LEFT_OUT.has(e.name) ? [] : markdownBelow(path);
    return e.name.endsWith('.md') ? [path] : [];
  });
}

const problems = [];
for (const file of markdownBelow('.')) {
  for (const [n, { line, code }] of prose(readFileSync(file, 'utf8')).entries()) {
    const table = /^\s*\|/.test(line);
    if (line.length > WIDTH && !table) problems.push(`${file}:${n + 1}: ${line.length} characters; wrap at ${WIDTH}`);
    for (const [, target] of code ? [] : line.matchAll(LINK)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path, anchor] = target.split('#');
      const at = path === '' ? file : normalize(join(dirname(file), path));
      if (!existsSync(at)) problems.push(`${file}:${n + 1}: there is no ${at}`);
      else if (anchor && statSync(at).isFile() && !anchorsOf(at).has(anchor))
        problems.push(`${file}:${n + 1}: ${at} has no heading #${anchor}`);
    }
  }
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
