import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '@ecavg/protocol/errors';

const STOP_MS = 5000;

export interface Child {
  readonly name: string;
  readonly process: ChildProcess;
  /** What the child said when it was ready. */
  readonly ready: Readonly<Record<string, unknown>>;
}

/** Processes that end with this one, whatever happens. */
export class Processes {
  readonly #children = new Map<string, ChildProcess>();
  #stopping = false;
  /** Called when a child ends that nobody stopped. */
  onUnexpectedExit: (name: string, code: number | null, log: string) => void = () => {};

  constructor(private readonly logs: string) {
    mkdirSync(logs, { recursive: true });
  }

  /** Starts `node ARGS...` and waits until it says that it is ready. */
  start(name: string, args: readonly string[]): Promise<Child> {
    if (this.#stopping) throw new CodedError('ECAVG_STOPPED', 'stopping');
    const logFile = join(this.logs, `${name}.log`);
    const log = openSync(logFile, 'a');
    // A group of its own: Ctrl-C reaches only us, and we stop the children in order. A child whose parent
    // is gone sees its channel close and ends by itself.
    const child = spawn(process.execPath, [...args], { stdio: ['ignore', log, log, 'ipc'], detached: true });
    closeSync(log);
    this.#children.set(name, child);
    return new Promise((resolve, reject) => {
      let isReady = false;
      child.on('message', (message) => {
        const m = message as Record<string, unknown>;
        if (m.type !== 'ready' || isReady) return;
        isReady = true;
        resolve({ name, process: child, ready: m });
      });
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        this.#children.delete(name);
        const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
        if (!isReady)
          reject(new CodedError('ECAVG_DEMO', `${name} ended with ${signal ?? code} before it was ready:\n${tail}`));
        else if (!this.#stopping) this.onUnexpectedExit(name, code, tail);
      });
    });
  }

  /** SIGTERM to all, SIGKILL to those that are still there after 5 s; resolves when none is left. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const exits = [...this.#children.values()].map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve();
          const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
          child.once('exit', () => {
            clearTimeout(limit);
            resolve();
          });
          child.kill('SIGTERM');
        }),
    );
    await Promise.all(exits);
  }
}
