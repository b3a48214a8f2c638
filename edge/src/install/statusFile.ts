import { join } from 'node:path';
import { StateFile, StateFormat, unchanged } from '@ecavg/runtime';
import { z } from 'zod';

const EVERY_MS = 15_000;

/** Older than this, the gateway that wrote it is gone or hangs. */
export const STALE_MS = 4 * EVERY_MS;

const statusSchema = z.object({
  edge: z.string(),
  fleet: z.string(),
  model: z.string(),
  pid: z.int(),
  /** Times in ms since 1970. */
  startedAt: z.number(),
  at: z.number(),
  connected: z.boolean(),
  /** 0: none yet. */
  version: z.int(),
  round: z.int(),
  training: z.boolean(),
  /** Why training waits. */
  paused: z.string().optional(),
  samples: z.int(),
  ready: z.boolean(),
  /** Round of the update that waits for its receipt. */
  outbox: z.int().optional(),
  serving: z.int().optional(),
  enrolled: z.boolean().optional(),
  memoryMegabytes: z.number(),
});
export type GatewayStatus = z.output<typeof statusSchema>;

const statusFormat = new StateFormat({
  kind: 'status of a gateway',
  at: { edge: 'status.json' },
  holds: 'how the gateway is, for `ecavg edge status`; renewed every 15 s',
  removed: 'safe',
  format: 1,
  encoding: 'json',
  schema: statusSchema,
  migrations: { 0: unchanged },
});

const statusFile = (dataDir: string) => new StateFile(join(dataDir, 'status.json'), statusFormat);

export const readStatus = (dataDir: string): Promise<GatewayStatus | undefined> => statusFile(dataDir).read();

/** Keeps a file that says how this gateway is: what `ecavg edge status` reads. */
export class StatusFile {
  #timer: NodeJS.Timeout | undefined;
  #last = '';
  #writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly dataDir: string,
    private readonly status: () => GatewayStatus,
  ) {}

  start(): void {
    this.#timer = setInterval(() => this.write(), EVERY_MS);
    this.write();
  }

  /** Call it where something changed: it writes nothing where nothing did but the time. */
  changed(): void {
    const { at: _, memoryMegabytes: __, ...rest } = this.status();
    const text = JSON.stringify(rest);
    if (text === this.#last) return;
    this.#last = text;
    this.write();
  }

  write(): void {
    this.#writing = this.#writing
      .then(() => statusFile(this.dataDir).write(this.status()))
      // A full disk is told of elsewhere, and stops nothing here.
      .catch(() => undefined);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.write();
    await this.#writing;
  }
}
