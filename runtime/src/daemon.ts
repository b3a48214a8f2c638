import { ConfigError, EXIT } from './errors.js';
import type { Logger } from './logger.js';
import { Notifier } from './notify.js';

/** A started service: `ready` is told to the parent process, `stop` ends it and may be called once. */
export interface Service {
  readonly ready: Readonly<Record<string, unknown>>;
  /** Whether it does its work; asked for a watchdog. */
  healthy?(): boolean;
  stop(): Promise<void>;
}

const STOP_LIMIT_MS = 10_000;

/**
 * Runs a service until SIGTERM or SIGINT, or until the process that started it goes away, then stops it
 * and exits. An error that nobody handled ends the process with code 1: a daemon in an unknown state
 * is worse than a restart.
 */
export async function runDaemon(log: Logger, start: () => Promise<Service>): Promise<void> {
  const manager = Notifier.fromEnvironment(process.env, log);
  let service: Service | undefined;
  let stopping = false;
  const stop = async (why: string, code: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    manager?.stopping();
    const limit = setTimeout(() => {
      log.error({ limitMs: STOP_LIMIT_MS }, 'did not stop in time');
      process.exit(EXIT.failed);
    }, STOP_LIMIT_MS);
    try {
      await service?.stop();
    } catch (error) {
      log.error({ err: error }, 'failed while stopping');
      process.exit(EXIT.failed);
    }
    clearTimeout(limit);
    log.info('stopped');
    process.exit(code);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal, EXIT.ok));
  // A daemon started by `ecavg demo` or a test ends with its parent, even where that one was killed.
  if (process.channel) process.on('disconnect', () => void stop('the parent process went away', EXIT.ok));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'unhandled error');
    void stop('unhandled error', EXIT.failed);
  });
  try {
    service = await start();
  } catch (error) {
    if (stopping) return;
    log.fatal({ err: error }, 'failed to start');
    process.exit(error instanceof ConfigError ? EXIT.usage : EXIT.failed);
  }
  log.info(service.ready, 'ready');
  manager?.ready(() => service?.healthy?.() ?? true);
  process.send?.({ type: 'ready', ...service.ready });
}
