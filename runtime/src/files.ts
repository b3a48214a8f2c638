import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

let sequence = 0;

/**
 * Writes a file so that after a crash or power cut it holds either the old or the new content whole, and
 * so that the new content is on disk when this returns.
 */
export async function writeDurable(path: string, data: Uint8Array | string, mode = 0o666): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = `${path}.${process.pid}.${sequence++}.tmp`;
  try {
    const handle = await open(temporary, 'w', mode);
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Makes renames and removals in a folder durable; some file systems can't, and need not. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!['EINVAL', 'EPERM', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

/** The file's bytes, or undefined where there is none. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The text of a file that is made on first use, readable by its owner only. */
export async function readOrCreate(path: string, make: () => string): Promise<string> {
  const there = await readIfThere(path);
  if (there) return there.toString('utf8');
  const text = make();
  await writeDurable(path, text, 0o600);
  return text;
}

/** Names in a folder (none where it does not exist), leftovers of interrupted writes removed. */
export async function listFolder(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  for (const name of names.filter((n) => n.endsWith('.tmp'))) await rm(join(folder, name), { force: true });
  return names.filter((n) => !n.endsWith('.tmp')).sort();
}

/** What tells that a file was changed since it was read: its time, size and inode; `none` where there is no file. */
export async function stampOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
    throw error;
  }
}
