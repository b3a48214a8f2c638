import type { Logger } from '@ecavg/runtime';
import type { Drift } from './drift.js';
import type { StreamData } from './streamData.js';

/** What a stream has to tell the cloud. */
export interface StreamReports {
  quality(values: Record<string, number>, channels: Record<string, Record<string, number>>): void;
  /** @param channels the sensor that drifted; none where it is the model's score. */
  drift(values: Record<string, number>, channels: Record<string, Record<string, number>>): void;
  /** There is enough to train on now. */
  ready(): void;
}

/** What a drift counts as, by the test that found it. */
const FIGURES: Readonly<Record<Drift['test'], string>> = { psi: 'psi', 'page-hinkley': 'pageHinkley' };

/** Starts a stream, and reports on its quality from time to time and on its drift at once. */
export class StreamReporter {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly data: StreamData,
    private readonly reports: StreamReports,
    private readonly everySeconds: number,
    private readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    this.data.enough.add(() => {
      this.log.info({ samples: this.data.samples }, 'there are enough samples to train on');
      this.reports.ready();
    });
    this.data.drifts.add((drift) => this.#drifted(drift));
    this.#timer = setInterval(() => this.report(), this.everySeconds * 1000);
    await this.data.start();
  }

  report(): void {
    const { values, channels } = this.data.report();
    this.reports.quality(values, channels);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.data.close();
  }

  #drifted({ what, test }: Drift): void {
    this.log.warn({ what, test }, 'the data has drifted');
    const values = { [FIGURES[test]]: 1 };
    this.reports.drift(values, what === 'score' ? {} : { [what]: values });
  }
}
