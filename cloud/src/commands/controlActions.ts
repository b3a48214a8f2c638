import { join } from 'node:path';
import { ConfigError, EXIT } from '@ecavg/runtime';
import { ControlBox, type ControlRequest, controlFolder } from '../versions/controlBox.js';
import { indexText, type RegistryIndex, readIndex, type Version } from '../versions/registry.js';
import { type CloudFlags, modelOf, type ReadSettings } from './subcommand.js';

export interface ControlFlags extends CloudFlags {
  readonly fleet?: string;
  readonly model?: string;
  readonly to?: number;
  readonly wait?: number;
  readonly json?: boolean;
}

/** Asks the running cloud, and prints what it answers. @throws ConfigError where it refuses. */
export async function ask(read: ReadSettings, flags: ControlFlags, action: ControlRequest['action']): Promise<void> {
  const file = await read(flags);
  const { fleet, model } = modelOf(file.models, flags);
  const request = { fleet, model: model.id, action, ...(flags.to !== undefined && { version: flags.to }) };
  const answer = await new ControlBox(controlFolder(file.dataDir)).ask(request, 1000 * (flags.wait ?? 30));
  if (!answer) {
    process.stderr.write(
      'no cloud answered; the command is kept, and a cloud with this dataDir carries it out when it starts [ECAVG_NO_ANSWER]\n',
    );
    process.exitCode = EXIT.failed;
  } else if (answer.done) process.stdout.write(`${answer.text}\n`);
  else throw new ConfigError(answer.error ?? 'ECAVG_NOT_NOW', answer.text);
}

const percent = (v: number | undefined): string => (v === undefined ? '-' : `${(100 * v).toFixed(2)} %`);

function line(v: Version, { pinned }: RegistryIndex, head: Version | undefined): string {
  const marks = [
    v === head ? 'in force' : '',
    v.version === pinned ? 'pinned' : '',
    v.state === 'current' ? '' : v.state === 'canary' ? 'on trial' : 'withdrawn',
    v.restores === undefined ? '' : `weights of version ${v.restores}`,
  ].filter(Boolean);
  const { accuracy, updates } = v.metrics;
  const from = v.round === 0 ? 'initial' : `round ${v.round}, ${updates ?? 0} updates`;
  const time = new Date(v.createdAt).toISOString();
  return `${String(v.version).padStart(4)}  ${v.sha256.slice(0, 12)}  ${time}  ${percent(accuracy).padStart(8)}  ${from}${marks.length ? `  [${marks.join(', ')}]` : ''}`;
}

/** Prints the versions of a model, the oldest first. */
export async function printHistory(read: ReadSettings, flags: ControlFlags): Promise<void> {
  const config = modelOf((await read(flags)).models, flags);
  const folder = join(config.dataDir, 'models', config.model.id);
  const index = await readIndex(folder);
  if (!index) throw new ConfigError('ECAVG_NOT_FOUND', `${folder} holds no versions: has this cloud run yet?`);
  const head = index.versions.findLast((v) => v.state === 'current');
  if (flags.json) process.stdout.write(indexText(index));
  else for (const v of index.versions) process.stdout.write(`${line(v, index, head)}\n`);
}
