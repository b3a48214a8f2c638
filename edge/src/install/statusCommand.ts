import { ConfigError, checkDataFolder } from '@ecavg/runtime';
import { type GatewayStatus, readStatus, STALE_MS } from './statusFile.js';

/** Exit codes of `ecavg edge status`; 3 as in init scripts (LSB): not running. */
const STATUS_EXIT = { working: 0, notConnected: 1, notRunning: 3 } as const;

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process is there, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What the gateway says of itself, and whether it still runs. */
export async function statusOf(
  dataDir: string,
  now = Date.now(),
): Promise<{ status: GatewayStatus; running: boolean }> {
  await checkDataFolder(dataDir, 'edge');
  const status = await readStatus(dataDir);
  if (!status)
    throw new ConfigError('ECAVG_NOT_FOUND', `no gateway has run in ${dataDir} yet: is --config the right file?`);
  return { status, running: alive(status.pid) && Math.abs(now - status.at) < STALE_MS };
}

export function statusText({ status: s, running }: { status: GatewayStatus; running: boolean }): string {
  const when = new Date(s.at).toISOString();
  const state = running ? `running (pid ${s.pid})` : `not running; last heard of ${when}`;
  const training = s.training ? (s.paused ? `waiting: ${s.paused}` : 'training') : (s.paused ?? 'idle');
  const rows = [
    ['gateway', `${s.edge} of fleet ${s.fleet}, ${state}`],
    ['broker', s.connected ? 'connected' : 'not connected'],
    ['model', s.version > 0 ? `${s.model}, version ${s.version}` : `${s.model}, none yet`],
    ['serving', s.serving === undefined ? 'nothing' : `made from version ${s.serving}`],
    ['round', s.round > 0 ? `${s.round}, ${training}` : `none yet, ${training}`],
    ['samples', `${s.samples}${s.ready ? '' : ', too few to train on'}`],
    ['outbox', s.outbox === undefined ? 'empty' : `the update of round ${s.outbox} waits for its receipt`],
    ...(s.enrolled === undefined ? [] : [['enrolled', s.enrolled ? 'yes' : 'no']]),
    ['memory', `${Math.round(s.memoryMegabytes)} MB`],
  ];
  return rows.map(([name = '', value]) => `${name.padEnd(10)}${value}\n`).join('');
}

export function statusExit({ status, running }: { status: GatewayStatus; running: boolean }): number {
  if (!running) return STATUS_EXIT.notRunning;
  return status.connected ? STATUS_EXIT.working : STATUS_EXIT.notConnected;
}
