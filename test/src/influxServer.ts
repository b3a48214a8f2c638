import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './harness.js';

/** A private InfluxDB; resolves when it answers. */
export async function startInflux(path: string, folder: string, port: number) {
  const rpc = await freePort();
  const config = `reporting-disabled = true
bind-address = "127.0.0.1:${rpc}"
[meta]
  dir = "${folder}/meta"
[data]
  dir = "${folder}/data"
  wal-dir = "${folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:${port}"
  log-enabled = false
[monitor]
  store-enabled = false
`;
  writeFileSync(join(folder, 'influxdb.conf'), config);
  const child = spawn(path, ['run', '-config', join(folder, 'influxdb.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  for await (const line of createInterface({ input: child.stderr })) {
    if (/Listening on HTTP/.test(line)) break;
  }
  child.stderr.resume();
  return child;
}
