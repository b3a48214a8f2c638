import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** One update, decoded as often as it is asked for and never kept. */
export interface Addable {
  /** accumulator += weight D_k. */
  addTo(accumulator: Float32Array, weight: number): Promise<void>;
}

/** Equal stretches of all updates: `rows[k]` holds values `from` and on of D_k. */
export interface Block {
  readonly from: number;
  readonly rows: readonly Float32Array[];
}

/** Decoded updates are kept in memory up to this size, all together; beyond it in files. */
const MEMORY_BYTES = 256 << 20;
/** Values of one update in a block that is read from a file. */
const BLOCK = 1 << 16;

/** Walks over several updates side by side, with bounded memory. */
export async function withBlocks<T>(
  updates: readonly Addable[],
  length: number,
  /** Where large updates are spooled; the folder must exist. */
  folder: string,
  use: (blocks: () => AsyncGenerator<Block>) => Promise<T>,
  memoryBytes = MEMORY_BYTES,
): Promise<T> {
  if (updates.length * length * 4 <= memoryBytes) {
    const rows: Float32Array[] = [];
    for (const update of updates) {
      const row = new Float32Array(length);
      await update.addTo(row, 1);
      rows.push(row);
    }
    return use(async function* () {
      yield { from: 0, rows };
    });
  }
  const spool = await mkdtemp(join(folder, 'spool-'));
  try {
    const scratch = new Float32Array(length);
    for (const [k, update] of updates.entries()) {
      scratch.fill(0);
      await update.addTo(scratch, 1);
      const handle = await open(join(spool, String(k)), 'w');
      try {
        await handle.writeFile(new Uint8Array(scratch.buffer));
      } finally {
        await handle.close();
      }
    }
    return await use(() => readBlocks(spool, updates.length, length));
  } finally {
    await rm(spool, { recursive: true, force: true });
  }
}

async function* readBlocks(spool: string, count: number, length: number): AsyncGenerator<Block> {
  const handles = await Promise.all([...Array(count).keys()].map((k) => open(join(spool, String(k)), 'r')));
  try {
    for (let from = 0; from < length; from += BLOCK) {
      const values = Math.min(BLOCK, length - from);
      const rows = await Promise.all(
        handles.map(async (handle) => {
          const row = new Float32Array(values);
          await handle.read(new Uint8Array(row.buffer), 0, values * 4, from * 4);
          return row;
        }),
      );
      yield { from, rows };
    }
  } finally {
    await Promise.all(handles.map((h) => h.close()));
  }
}
