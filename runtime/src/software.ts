import { readFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

/** This release, as daemons name themselves on the wire and in their data folders: `ecavg 0.1.0`. */
export const SOFTWARE = `ecavg ${version}`;
