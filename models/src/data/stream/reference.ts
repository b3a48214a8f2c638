import { ArgumentError, CodedError } from '@ecavg/protocol/errors';
import { z } from 'zod';
import type { DataSet } from '../dataset.js';
import { csvMapping, listFiles, readRecording } from './csv.js';
import { type StreamConfig, streamShape } from './schema.js';
import type { StreamWindow } from './window.js';
import { Windower } from './windower.js';

/** Recordings in CSV files that a node takes whole, such as the cloud's reference samples. */
export const recordingsSchema = z.strictObject({
  /** Paths; the last part of each may hold `*`. */
  files: z.array(z.string().min(1)).min(1),
  ...csvMapping,
});
/** Checked settings of recordings, with their defaults. */
export type Recordings = z.output<typeof recordingsSchema>;

/** The number of the stretch of time that a window which starts at `startMs` (ms since 1970) belongs to: one is trained on as a whole, or held back. */
export function blockOf(stream: StreamConfig, startMs: number): number {
  const seconds = stream.blockSeconds ?? (10 * stream.window) / stream.rateHz;
  return Math.floor(startMs / (seconds * 1000));
}

/**
 * Cuts recordings into windows: a data set in memory, whose groups are stretches of time in one file. With classes, windows without a label
 * are left out.
 * @param warn told of every cell that can't be used.
 * @throws Error that says what is wrong where a path fits no file, a file can't be read, or no window comes out.
 */
export async function loadRecordings(
  stream: StreamConfig,
  { files: patterns, ...mapping }: Recordings,
  warn: (why: string) => void = () => {},
): Promise<DataSet> {
  const windows: StreamWindow[] = [];
  const groups: number[] = [];
  const known = new Map<string, number>();
  let unlabelled = 0;
  for (const pattern of patterns) {
    const files = await listFiles(pattern);
    if (files.length === 0) throw new CodedError('ECAVG_TRAINING_DATA', `no file fits ${pattern}`);
    for (const file of files) {
      const windower = new Windower(stream, (window) => {
        if (window.label < 0 && stream.classes.length > 0) {
          unlabelled++;
          return;
        }
        const block = `${file}/${blockOf(stream, window.startMs)}`;
        if (!known.has(block)) known.set(block, known.size);
        groups.push(known.get(block) as number);
        windows.push(window);
      });
      await readRecording(file, mapping, stream, windower, warn);
    }
  }
  if (windows.length === 0)
    throw new CodedError(
      'ECAVG_DATA_FILE',
      `${patterns.join(', ')}: no window of ${stream.window} ticks at ${stream.rateHz} Hz could be cut${unlabelled > 0 ? `; ${unlabelled} have no label` : ''}`,
    );
  return windowsData(stream, windows, Int32Array.from(groups));
}

function windowsData(stream: StreamConfig, windows: readonly StreamWindow[], groups: Int32Array): DataSet {
  return {
    name: 'stream',
    simulated: false,
    shape: streamShape(stream),
    classes: stream.classes,
    length: windows.length,
    labels: Int32Array.from(windows, (w) => Math.max(0, w.label)),
    groups,
    sites: undefined,
    read(index, out, offset) {
      const window = windows[index];
      if (!window) throw new ArgumentError('ECAVG_PROGRAM', `window ${index} of ${windows.length}`);
      out.set(window.values, offset);
    },
  };
}
