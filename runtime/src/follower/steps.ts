import { ProtocolError } from '@ecavg/protocol';
import { CodedError } from '@ecavg/protocol/errors';
import type { Logger } from '../logger.js';
import { SerialQueue } from '../queue.js';

/** A download may take long; a step that takes longer hangs. */
const STUCK_MS = 3 * 3600_000;

interface StepsParts {
  /** Until `retry` runs after a step that failed. */
  readonly retrySeconds: number;
  readonly log: Logger;
  /** What is worth another try after a step failed: a full disk may have room later. */
  retry(): Promise<void>;
  /** After every step, whatever became of it. */
  after(): void;
}

/** Runs the steps of a daemon one after another; what goes wrong is logged, and the daemon goes on. */
export class Steps {
  readonly #queue = new SerialQueue();
  readonly #stopped = new AbortController();
  #busySince: number | undefined;
  #again: NodeJS.Timeout | undefined;

  constructor(private readonly parts: StepsParts) {}

  /** Aborts when the daemon stops. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  /** Whether the step in hand has not moved for long. */
  get stuck(): boolean {
    return this.#busySince !== undefined && performance.now() - this.#busySince >= STUCK_MS;
  }

  /** Runs a step after those before it; none once the daemon stops. */
  run(step: () => Promise<void>): void {
    const { log, retrySeconds, retry, after } = this.parts;
    void this.#queue.run(async () => {
      if (this.stopped.aborted) return;
      this.#busySince = performance.now();
      try {
        await step();
      } catch (error) {
        if (this.stopped.aborted) return;
        if (error instanceof ProtocolError) log.warn({ reason: error.reason, detail: error.message }, 'refused');
        else log.error({ err: error }, 'step failed; it will be tried again');
        clearTimeout(this.#again);
        this.#again = setTimeout(() => this.run(retry), retrySeconds * 1000);
      } finally {
        this.#busySince = undefined;
        after();
      }
    });
  }

  /** Resolves when the step in hand is over; those that wait are left out. */
  async stop(): Promise<void> {
    this.#stopped.abort(new CodedError('ECAVG_STOPPED', 'stopping'));
    clearTimeout(this.#again);
    await this.#queue.idle();
  }
}
