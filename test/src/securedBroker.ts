import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { ECAVG, FLEET, type TestFleet } from './harness.js';

const run = promisify(execFile);

export const broker = async (...args: string[]): Promise<string> =>
  (await run(process.execPath, [ECAVG, 'broker', ...args])).stdout.trim();

/** A broker as `ecavg broker init` sets it up, on free ports of the loopback. */
export async function secured(fleet: TestFleet, change: object = {}) {
  const dir = join(fleet.folder, 'broker');
  const admin = await broker('init', '--dir', dir, '--host', 'localhost', '--host', '127.0.0.1');
  const settings = parse(readFileSync(join(dir, 'broker.yaml'), 'utf8')) as Record<string, object>;
  const local = { host: '127.0.0.1', port: 0 };
  const config = { ...settings, tls: local, wss: local, metrics: local, ...change };
  writeFileSync(join(dir, 'broker.yaml'), stringify(config));
  const child = await fleet.daemon('broker', 'broker', config);
  const { mqtts, wss } = child.ready.listeners as Record<string, string>;
  const user = (name: string, role: string, ...more: string[]): Promise<string> =>
    broker('user', 'add', name, '--config', join(dir, 'broker.yaml'), '--role', role, '--fleet', FLEET, ...more);
  return { dir, admin, child, config, mqtts: mqtts ?? '', wss: wss ?? '', metrics: String(child.ready.metrics), user };
}
