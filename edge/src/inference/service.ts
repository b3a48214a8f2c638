import { Predictor, type View } from '@ecavg/models';
import type { Logger } from '@ecavg/runtime';
import type { Servable } from '../learning/servable.js';
import type { InferConfig } from './config.js';
import { conformalThreshold } from './threshold.js';

/** The answer to one sample. */
export interface Answer {
  readonly version: number;
  readonly own: boolean;
  readonly label?: number;
  readonly probability?: number;
  readonly score: number;
  /** Absent while there are too few samples to calibrate it. */
  readonly threshold?: number;
  readonly anomaly?: boolean;
  /** From the request's arrival to its answer. */
  readonly latencyMs: number;
  /** Samples that went through the model together. */
  readonly batch: number;
}

export type Refusal = 'overloaded' | 'no-model' | 'bad-request' | 'failed';

type Outcome = { readonly answer: Answer } | { readonly refused: Refusal; readonly detail: string };

interface Waiting {
  readonly x: Float32Array;
  readonly at: number;
  done(outcome: Outcome): void;
}

interface Serving {
  readonly predictor: Predictor;
  readonly servable: Servable;
  readonly threshold: number | undefined;
}

/** Counts between one report and the next. */
export interface Served {
  readonly requests: number;
  readonly refused: number;
  readonly anomalies: number;
  readonly batches: number;
  readonly latenciesMs: readonly number[];
}

/** Latencies that are kept between one report and the next. */
const MOST_LATENCIES = 10_000;

const NOTHING = { requests: 0, refused: 0, anomalies: 0, batches: 0 };

/**
 * Answers one sample after another with the model in service, those that wait together in one batch. A new model is opened,
 * warmed up and calibrated beside the old one, which answers until then; the batch in hand ends with the model that it began with.
 */
export class InferenceService {
  readonly #waiting: Waiting[] = [];
  #serving: Serving | undefined;
  #running: Promise<void> | undefined;
  #counts = { ...NOTHING };
  #latencies: number[] = [];
  #stopped = false;

  constructor(
    private readonly config: InferConfig,
    private readonly log: Logger,
  ) {}

  get version(): number | undefined {
    return this.#serving?.servable.version;
  }

  get threshold(): number | undefined {
    return this.#serving?.threshold;
  }

  /**
   * Puts a model into service.
   * @param usual samples to calibrate the threshold on; without any, that of the servable stays.
   */
  async use(servable: Servable, usual: View | undefined): Promise<void> {
    const predictor = await Predictor.create(servable.onnx, servable.loss, servable.shape, this.config.threads);
    const scores = usual && usual.indices.length > 0 ? await predictor.scores(usual) : undefined;
    const threshold = scores ? conformalThreshold(scores, this.config.falseAlarmRate) : servable.threshold;
    const before = this.#serving;
    this.#serving = { predictor, servable, threshold };
    this.log.debug({ version: servable.version, own: servable.own, threshold }, 'model in service');
    this.#pump();
    if (!before) return;
    // The batch in hand began with the old one.
    await this.#running;
    await before.predictor.release();
  }

  /** Takes one sample; the outcome comes in any case. */
  ask(x: Float32Array): Promise<Outcome> {
    this.#counts.requests++;
    const serving = this.#serving;
    if (!serving || this.#stopped) return this.#refuse('no-model', 'no version is in service');
    if (x.length !== serving.predictor.size)
      return this.#refuse(
        'bad-request',
        `${x.length} values; the model takes ${serving.predictor.size}: [${serving.predictor.shape.join(', ')}]`,
      );
    if (!x.every(Number.isFinite)) return this.#refuse('bad-request', 'a value is not finite');
    if (this.#waiting.length >= this.config.queue)
      return this.#refuse('overloaded', `${this.config.queue} requests wait already`);
    return new Promise((done) => {
      this.#waiting.push({ x, at: performance.now(), done });
      this.#pump();
    });
  }

  /** What happened since the last call. */
  report(): Served {
    const report = { ...this.#counts, latenciesMs: this.#latencies };
    this.#counts = { ...NOTHING };
    this.#latencies = [];
    return report;
  }

  /** Answers what waits, and ends. */
  async stop(): Promise<void> {
    this.#stopped = true;
    while (this.#running !== undefined) await this.#running;
    await this.#serving?.predictor.release();
    this.#serving = undefined;
  }

  async #refuse(refused: Refusal, detail: string): Promise<Outcome> {
    this.#counts.refused++;
    return { refused, detail };
  }

  #pump(): void {
    if (this.#running !== undefined || this.#waiting.length === 0) return;
    this.#running = this.#batch().finally(() => {
      this.#running = undefined;
      this.#pump();
    });
  }

  async #batch(): Promise<void> {
    const serving = this.#serving;
    if (!serving) return;
    const { predictor } = serving;
    const taken = this.#waiting.splice(0, this.#stopped ? this.#waiting.length : this.config.batch);
    // A model of another shape has come since they were asked.
    const fits = taken.filter(({ x }) => x.length === predictor.size);
    for (const { x, done } of taken)
      if (x.length !== predictor.size)
        done({ refused: 'bad-request', detail: `${x.length} values; the model changed` });
    if (fits.length === 0) return;
    const x = new Float32Array(fits.length * predictor.size);
    for (const [i, one] of fits.entries()) x.set(one.x, i * predictor.size);
    try {
      const predictions = await predictor.predict(x, fits.length);
      const now = performance.now();
      this.#counts.batches++;
      for (const [i, { at, done }] of fits.entries()) {
        const prediction = predictions[i];
        if (prediction) done({ answer: this.#answer(serving, prediction, now - at, fits.length) });
      }
    } catch (error) {
      this.log.error({ err: error }, 'the model failed');
      this.#counts.refused += fits.length;
      for (const { done } of fits) done({ refused: 'failed', detail: (error as Error).message });
    }
  }

  #answer(
    { servable, threshold }: Serving,
    prediction: { label?: number; probability?: number; score: number },
    latencyMs: number,
    batch: number,
  ): Answer {
    if (this.#latencies.length < MOST_LATENCIES) this.#latencies.push(latencyMs);
    const anomaly = threshold === undefined ? undefined : !(prediction.score <= threshold);
    if (anomaly) this.#counts.anomalies++;
    const { version, own } = servable;
    return {
      version,
      own,
      ...prediction,
      ...(threshold !== undefined && { threshold, anomaly: anomaly as boolean }),
      latencyMs,
      batch,
    };
  }
}
