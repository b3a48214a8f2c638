// Bundles the dashboard's page into cloud/dist/dashboard, from where the cloud serves it.
import { copyFile, mkdir } from 'node:fs/promises';
import { build } from 'esbuild';

const from = 'cloud/dashboard';
const to = 'cloud/dist/dashboard';

await mkdir(to, { recursive: true });
await build({
  entryPoints: { app: `${from}/main.tsx` },
  outdir: to,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  logLevel: 'warning',
});
for (const name of ['index.html', 'icon.svg']) await copyFile(`${from}/${name}`, `${to}/${name}`);
