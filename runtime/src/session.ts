import { z } from 'zod';
import { StateFile } from './stateFile.js';
import { StateFormat } from './stateFormat.js';

const sessionFormat = new StateFormat({
  kind: 'session',
  at: { edge: 'session', region: 'upstream/session' },
  holds: 'the number of the last run, which orders a late last will against a rebirth',
  removed: 'safe where the clock is right: the next run takes its number from it',
  format: 1,
  encoding: 'json',
  schema: z.object({ session: z.number() }),
  // The number alone.
  migrations: { 0: (session) => ({ session }) },
});

/**
 * A number for this run of a node that is larger than that of every run before, even where the clock was set back: it orders a late last
 * will against a rebirth.
 */
export async function nextSession(path: string): Promise<number> {
  const file = new StateFile(path, sessionFormat);
  const last = await file.read(() => undefined);
  const session = Math.max(Date.now(), (last?.session ?? 0) + 1);
  await file.write({ session });
  return session;
}
