import { execFile } from 'node:child_process';
import type { Logger } from './logger.js';

/**
 * Tells systemd how this service is (sd_notify(3)): ready, stopping and, where the unit has a watchdog, alive. It speaks through
 * systemd-notify(1), as Node.js has no datagram sockets of that kind; the unit needs NotifyAccess=all.
 */
export class Notifier {
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly watchdogMs: number,
    private readonly log: Logger,
  ) {}

  /** Undefined where no service manager listens. */
  static fromEnvironment(env: NodeJS.ProcessEnv, log: Logger): Notifier | undefined {
    if (!env.NOTIFY_SOCKET) return undefined;
    const forUs = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === process.pid;
    const microseconds = forUs ? Number(env.WATCHDOG_USEC ?? 0) : 0;
    return new Notifier(microseconds > 0 ? microseconds / 1000 : 0, log);
  }

  /** @param healthy asked before each sign of life; while it says no there is none, and the watchdog restarts the service. */
  ready(healthy: () => boolean = () => true): void {
    this.#tell(['--ready', `--pid=${process.pid}`]);
    if (this.watchdogMs === 0) return;
    // Half of the time, as sd_watchdog_enabled(3) recommends.
    this.#timer = setInterval(() => {
      if (healthy()) this.#tell(['WATCHDOG=1']);
    }, this.watchdogMs / 2);
    this.#timer.unref();
  }

  stopping(): void {
    clearInterval(this.#timer);
    this.#tell(['STOPPING=1']);
  }

  #tell(what: readonly string[]): void {
    execFile('systemd-notify', [...what], (error) => {
      if (error) this.log.warn({ err: error, what }, 'systemd could not be told');
    });
  }
}
