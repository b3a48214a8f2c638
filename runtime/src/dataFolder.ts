import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError } from './errors.js';
import { readIfThere, writeDurable } from './files.js';
import { SOFTWARE } from './software.js';
import { StateFile } from './stateFile.js';
import { HEAD_BYTES, StateFormat } from './stateFormat.js';
import { DATA_ROLES, type DataRole, type Format, type Pattern, stateKinds } from './stateKinds.js';

const MARKER = 'ecavg.json';

const markerSchema = z.object({ role: z.enum(DATA_ROLES), software: z.string() });
type Marker = z.output<typeof markerSchema>;

const markerFormat = new StateFormat({
  kind: 'data folder',
  at: { cloud: MARKER, region: MARKER, edge: MARKER, broker: MARKER },
  holds: 'whose folder it is, and the release that opened it last',
  removed: 'it is made again at the next start',
  format: 1,
  encoding: 'json',
  schema: markerSchema,
  migrations: {},
});

/** Roles as people say them. */
const NAMES: Readonly<Record<DataRole, string>> = {
  cloud: 'a cloud',
  region: 'a regional aggregator',
  edge: 'a gateway',
  broker: 'a broker',
};

/**
 * For a daemon at its start, before it reads anything else: refuses the folder of another role and files of a later release, writes those
 * of an earlier one anew, each whole or not at all, then notes whose folder it is. A folder without the note is one of release 0.1.0, or new.
 * @throws ConfigError that names folder or file, and the mend.
 */
export async function openDataFolder(folder: string, role: DataRole): Promise<void> {
  const marker = new StateFile(join(folder, MARKER), markerFormat);
  const known = await checkDataFolder(folder, role);
  await sweep(folder, role);
  await renewFiles(folder, role);
  if (known?.software !== SOFTWARE) await marker.write({ role: known?.role ?? role, software: SOFTWARE });
}

/** As `openDataFolder`, for commands beside a daemon: changes nothing. */
export async function checkDataFolder(folder: string, role: DataRole): Promise<Marker | undefined> {
  // A damaged note counts as none: it holds nothing that the files beside it do not tell.
  const known = await new StateFile(join(folder, MARKER), markerFormat).read(() => undefined);
  const names = new Set(await readdir(folder).catch(() => []));
  const has = (r: DataRole): boolean => TELLING[r].some((name) => names.has(name));
  const owner = known?.role ?? DATA_ROLES.find(has) ?? role;
  // Release 0.1.0 let two daemons share a folder, as long as no file of theirs had the same name.
  if (owner !== role && !has(role))
    throw new ConfigError(
      'ECAVG_STATE_ROLE',
      `${folder} is the data folder of ${NAMES[owner]}, not of ${NAMES[role]}: give each daemon a dataDir of its own`,
    );
  await refuseNewerFiles(folder, role);
  return known;
}

/** Names in a folder that only the daemon of this role makes there, at its first start. */
const TELLING: Readonly<Record<DataRole, readonly string[]>> = {
  cloud: ['models'],
  region: ['upstream'],
  edge: ['session', 'trust.json'],
  broker: ['CURRENT'],
};

async function refuseNewerFiles(folder: string, role: DataRole): Promise<void> {
  for await (const { path, format } of formattedFiles(folder, role))
    format.refuseNewer(await lookAt(path, format), path);
}

/** What writeDurable leaves beside a file where a crash cuts it off. */
const LEFT = String.raw`\.\d+\.\d+\.tmp$`;

/** Removes what writes left that a crash has cut off; not where a command may be writing. */
async function sweep(folder: string, role: DataRole): Promise<void> {
  for (const { kind, patterns } of stateKinds.of(role)) {
    if (kind.about.shared) continue;
    for (const pattern of patterns) {
      const left = pattern.with(-1, new RegExp(`${pattern.at(-1)?.source.slice(0, -1)}${LEFT}`));
      for await (const path of filesOf(folder, left)) await rm(path, { force: true });
    }
  }
}

async function renewFiles(folder: string, role: DataRole): Promise<void> {
  for await (const { path, format, shared } of formattedFiles(folder, role)) {
    const found = format.formatsOf(await lookAt(path, format));
    if (shared || (found.length > 0 && found.every((f) => f === format.number))) continue;
    const bytes = await readIfThere(path);
    const renewed = bytes && format.renewed(bytes, path);
    // Where the disk is full, it is read as it is, and written anew at its next change.
    if (renewed) await writeDurable(path, renewed, format.mode).catch(() => undefined);
  }
}

/** What of a file tells its format. */
const lookAt = async (path: string, { formatInHead }: Format): Promise<Buffer> =>
  formatInHead ? headOf(path) : ((await readIfThere(path)) ?? Buffer.of());

/** The files that carry the number of a format. */
async function* formattedFiles(
  folder: string,
  role: DataRole,
): AsyncIterable<{ path: string; format: Format; shared: boolean }> {
  for (const { kind, patterns } of stateKinds.of(role)) {
    const { format, about } = kind;
    if (!format) continue;
    for (const pattern of patterns)
      for await (const path of filesOf(folder, pattern)) yield { path, format, shared: about.shared === true };
  }
}

/** Paths of the files below a folder that fit a pattern. */
async function* filesOf(folder: string, [level, ...deeper]: Pattern): AsyncIterable<string> {
  if (!level) return;
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!level.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (deeper.length > 0) yield* filesOf(path, deeper);
    else if (entry.isFile()) yield path;
  }
}

async function headOf(path: string): Promise<Buffer> {
  // A command may remove a file meanwhile.
  const handle = await open(path, 'r').catch(() => undefined);
  if (!handle) return Buffer.of();
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
