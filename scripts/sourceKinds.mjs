// Writes the table of sources from the files in edge/src/sources/kinds, each of which exports one `source`: mqttJson.ts is `mqtt-json` in
// settings. Part of `npm run build`; with --check it only says whether the table is stale.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL('../edge/src/sources/kinds/', import.meta.url);
const table = fileURLToPath(new URL('../edge/src/sources/gen/kinds.ts', import.meta.url));

const kinds = readdirSync(folder)
  .filter((f) => f.endsWith('.ts') && !f.includes('.test.'))
  .map((f) => f.slice(0, -'.ts'.length))
  .sort();
const setting = (kind) => kind.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
const text = `// Made by scripts/sourceKinds.mjs from the files in edge/src/sources/kinds, when the project is built. Not to be edited.
${kinds.map((kind) => `import { source as ${kind} } from '../kinds/${kind}.js';`).join('\n')}

export const KINDS = {
${kinds.map((kind) => (setting(kind) === kind ? `  ${kind},` : `  '${setting(kind)}': ${kind},`)).join('\n')}
};
`;

if (readFileSync(table, 'utf8') !== text) {
  if (process.argv.includes('--check')) {
    process.stderr.write('edge/src/sources/gen/kinds.ts is stale: npm run build\n');
    process.exitCode = 1;
  } else writeFileSync(table, text);
}
