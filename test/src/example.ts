import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ECAVG, type TestFleet, type Watcher, watchCloud } from './harness.js';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

/** What a run of an example needs: its folder, a copy, and its daemons. */
export interface Example {
  readonly folder: string;
  /** Starts `ecavg KIND --config NAME.yaml`. */
  start(name: string, kind: string): ReturnType<TestFleet['processes']['start']>;
  /** Starts the cloud of `cloud.yaml`, with a dashboard on a free port. */
  cloud(): Promise<Watcher>;
  /** Puts another text in place of one in a file. */
  replace(file: string, text: string, by: string): void;
}

/** Runs an example of examples/ as its README has it, in a copy, with a broker on a free port. */
export async function withExample(
  fleet: TestFleet,
  name: string,
  body: (example: Example) => Promise<void>,
): Promise<void> {
  const [before, variables] = [process.cwd(), new Set<string>()];
  const folder = join(fleet.folder, name);
  cpSync(join(EXAMPLES, name), folder, { recursive: true });
  const set = (more: Record<string, string>): void => {
    for (const [variable, value] of Object.entries(more)) {
      variables.add(variable);
      process.env[variable] = value;
    }
  };
  const { ready } = await fleet.broker();
  const url = String(ready.url);
  // The settings name their folders from where they are run.
  process.chdir(folder);
  set({ ECAVG_CLOUD_BROKER__URL: url, ECAVG_EDGE_BROKER__URL: url });
  const start = (name: string, kind: string) =>
    fleet.processes.start(name, [ECAVG, kind, '--config', join(folder, `${name}.yaml`)]);
  const watchers: Watcher[] = [];
  try {
    await body({
      folder,
      start,
      async cloud() {
        set({ ECAVG_CLOUD_HTTP__PORT: '0', ECAVG_CLOUD_HTTP__ANONYMOUS: 'viewer' });
        const watcher = watchCloud(String((await start('cloud', 'cloud')).ready.dashboard));
        watchers.push(watcher);
        return watcher;
      },
      replace(file, text, by) {
        const path = join(folder, file);
        const there = readFileSync(path, 'utf8');
        if (!there.includes(text)) throw new Error(`${file} does not say ${text}`);
        writeFileSync(path, there.replaceAll(text, by));
      },
    });
  } finally {
    for (const watcher of watchers) watcher.close();
    process.chdir(before);
    for (const variable of variables) delete process.env[variable];
  }
}
