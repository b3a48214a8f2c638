import { randomUUID } from 'node:crypto';
import { watch } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, ERRORS, type ErrorCode } from '@ecavg/protocol/errors';
import { type Logger, StateFile, StateFormat, unchanged } from '@ecavg/runtime';
import { z } from 'zod';

/** Where commands to a running cloud are left. */
export const controlFolder = (dataDir: string): string => join(dataDir, 'control');

const requestSchema = z.object({
  fleet: z.string(),
  model: z.string(),
  action: z.enum(['rollback', 'pin', 'unpin']),
  /** The version meant; where it is left out, the one before (rollback) or the one in force (pin). */
  version: z.int().min(1).optional(),
});
export type ControlRequest = z.output<typeof requestSchema>;
/** The same, where it is known which model is meant. */
export type Control = Pick<ControlRequest, 'action' | 'version'>;

const errorCode = z.custom<ErrorCode>((v) => typeof v === 'string' && v in ERRORS);
const answerSchema = z.object({
  done: z.boolean(),
  text: z.string(),
  /** Why not, where it was not done; one that is not known here, of another release, is left out. */
  error: errorCode.optional().catch(undefined),
});
/** What came of it, in words for people. */
export type ControlAnswer = z.output<typeof answerSchema>;

const requestFormat = new StateFormat({
  kind: 'request of a command',
  shared: true,
  at: { cloud: 'control/{id}.request.json' },
  holds: 'what a command asks of the running cloud, until it is answered',
  removed: 'safe: it is not carried out',
  format: 1,
  encoding: 'json',
  schema: requestSchema,
  migrations: { 0: unchanged },
});

const answerFormat = new StateFormat({
  kind: 'answer to a command',
  shared: true,
  at: { cloud: 'control/{id}.answer.json' },
  holds: 'what came of a request, until the command has read it',
  removed: 'safe',
  format: 1,
  encoding: 'json',
  schema: answerSchema,
  migrations: { 0: unchanged },
});

const REQUEST = '.request.json';
const ANSWER = '.answer.json';
/** Some file systems tell of no changes. */
const LOOK_MS = 5000;

type CarryOut = (request: ControlRequest) => Promise<ControlAnswer>;

/**
 * Commands from the command line to a running cloud, as files in its data folder: who may write there may command. A
 * request that finds no cloud running is kept, and carried out when it starts.
 */
export class ControlBox {
  constructor(private readonly folder: string) {}

  /** Leaves a request and waits for the answer; undefined where none came in time. */
  async ask(request: ControlRequest, waitMs: number): Promise<ControlAnswer | undefined> {
    const id = `${Date.now()}-${randomUUID()}`;
    const file = new StateFile(join(this.folder, id + ANSWER), answerFormat);
    await mkdir(this.folder, { recursive: true });
    const changed = new Changes(this.folder);
    try {
      await new StateFile(join(this.folder, id + REQUEST), requestFormat).write(request);
      const until = Date.now() + waitMs;
      for (;;) {
        const answer = await file.read();
        if (answer) {
          await file.remove();
          return answer;
        }
        if (Date.now() >= until) return undefined;
        await changed.next(until - Date.now());
      }
    } finally {
      changed.close();
    }
  }

  /** Carries out what was and will be asked, one after another; returns the way to stop. */
  async serve(carryOut: CarryOut, log: Logger): Promise<() => Promise<void>> {
    await mkdir(this.folder, { recursive: true });
    const changed = new Changes(this.folder);
    let stopped = false;
    const loop = (async () => {
      while (!stopped) {
        try {
          await this.#look(carryOut, log);
        } catch (error) {
          log.error({ err: error }, 'could not read what was asked');
        }
        await changed.next(LOOK_MS);
      }
    })();
    return async () => {
      stopped = true;
      changed.close();
      await loop;
    };
  }

  async #look(carryOut: CarryOut, log: Logger): Promise<void> {
    for (const name of (await readdir(this.folder)).sort().filter((n) => n.endsWith(REQUEST))) {
      const file = new StateFile(join(this.folder, name), requestFormat);
      let answer: ControlAnswer;
      try {
        const request = await file.read();
        if (!request) continue;
        answer = await carryOut(request);
        if (answer.done) log.info({ request, answer: answer.text }, 'carried out a command');
      } catch (error) {
        answer = { done: false, text: (error as Error).message, error: codeOf(error) };
      }
      if (!answer.done) log.warn({ request: name, detail: answer.text, code: answer.error }, 'a command was refused');
      await new StateFile(join(this.folder, name.replace(REQUEST, ANSWER)), answerFormat).write(answer);
      await file.remove();
    }
    await this.#forget();
  }

  /** Answers that nobody waits for any more. */
  async #forget(): Promise<void> {
    for (const name of (await readdir(this.folder)).filter((n) => n.endsWith(ANSWER))) {
      if (Date.now() - Number(name.split('-')[0]) > 3_600_000) await rm(join(this.folder, name), { force: true });
    }
  }
}

/** Wakes whoever waits for a change in a folder. */
class Changes {
  readonly #watcher;
  #wake: (() => void) | undefined;
  #seen = false;

  constructor(folder: string) {
    this.#watcher = watch(folder, { persistent: false }, () => this.#changed());
    this.#watcher.on('error', () => undefined);
  }

  /** Resolves at the next change since the last call, or after `ms`. */
  next(ms: number): Promise<void> {
    if (this.#seen) {
      this.#seen = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), Math.min(ms, LOOK_MS));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        this.#seen = false;
        resolve();
      };
    });
  }

  close(): void {
    this.#watcher.close();
    this.#wake?.();
  }

  #changed(): void {
    this.#seen = true;
    this.#wake?.();
  }
}
