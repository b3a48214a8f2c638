// Room samples: readings become windows, and windows become what is trained on and judged with; quality, drift, transforms.
// May import power, uplink and sources.
import { join } from 'node:path';
import { Random, type StreamConfig, type StreamWindow, streamDigest, streamShape, type View } from '@ecavg/models';
import { ConfigError, type Logger, StateFile, StateFormat } from '@ecavg/runtime';
import { z } from 'zod';
import type { Source } from '../sources/source.js';
import { makeSource } from '../sources/table.js';
import type { Login } from '../uplink/identity.js';
import type { SamplesConfig } from './config.js';
import { type Drift, DriftMonitor } from './drift.js';
import { withSensorDropout } from './dropout.js';
import { StreamIntake } from './intake.js';
import { Listeners } from './listeners.js';
import type { LocalData } from './localData.js';
import { Quality } from './quality.js';
import { SampleStore } from './sampleStore.js';
import { transformsDigest } from './transforms.js';

const normalFormat = new StateFormat({
  kind: 'what is normal',
  at: { edge: 'samples/normal.json' },
  holds: 'means of the windows that drift is measured against, of each channel',
  removed: 'safe: the next windows are taken as normal',
  format: 1,
  encoding: 'json',
  schema: z.object({ channels: z.record(z.string(), z.array(z.number()).readonly()) }),
  // The bare map.
  migrations: { 0: (channels) => ({ channels }) },
});

const normalFile = (dataDir: string) => new StateFile(join(dataDir, 'samples', 'normal.json'), normalFormat);

/** What a stream of readings is made from. */
export interface StreamParts {
  readonly config: SamplesConfig;
  /** How readings become windows. */
  readonly stream: StreamConfig;
  readonly login: Login;
  readonly disk: { readonly hasRoom: boolean };
  readonly log: Logger;
}

/** A gateway's own sensors as the data it learns from. */
export class StreamData implements LocalData {
  readonly test = undefined;
  readonly simulated = false;
  readonly shape: readonly number[];
  readonly classes: readonly string[];
  readonly stream: string;
  readonly seed: number;
  readonly quality: Quality;
  /** Every window of live sources. */
  readonly windows = new Listeners<StreamWindow>();
  /** A channel, or the model's score, that is not what it was. */
  readonly drifts = new Listeners<Drift>();
  /** There is enough to train on, for the first time in this run. */
  readonly enough = new Listeners<void>();
  readonly #store: SampleStore;
  readonly #drift: DriftMonitor;
  readonly #sources: readonly Source[];
  #wasReady = false;

  private constructor(
    private readonly parts: StreamParts,
    normal: Readonly<Record<string, readonly number[]>>,
  ) {
    const { config, stream, disk, log } = parts;
    const { data, edge } = config;
    this.shape = streamShape(stream);
    this.classes = stream.classes;
    this.stream = streamDigest(stream);
    this.seed = new Random(0, edge).int(1000);
    this.quality = new Quality(stream);
    this.#store = new SampleStore(
      stream,
      {
        folder: join(config.dataDir, 'samples'),
        edge,
        seed: data.seed,
        validationShare: data.validationShare,
        maxBytes: data.store.maxMegabytes * 1e6,
        maxWindows: data.store.windows,
        transforms: transformsDigest(data.transforms),
      },
      log,
    );
    this.#drift = new DriftMonitor(data.drift, normal);
    const intake = new StreamIntake({
      stream,
      transforms: data.transforms,
      store: this.#store,
      quality: this.quality,
      disk,
      found: (window, live) => this.#window(window, live),
      log,
    });
    this.#sources = this.#open(intake);
  }

  #open(intake: StreamIntake): Source[] {
    const { config, stream, login, log } = this.parts;
    return config.data.sources.map((settings, i) =>
      makeSource(settings, {
        stream,
        intake,
        recordings: intake,
        log,
        field: `data.sources.${i}`,
        stateFile: join(config.dataDir, 'samples', `source-${i}.json`),
        broker: config.broker,
        login,
        clientId: `ecavg-${config.fleet}-edge-${config.edge}-source-${i}`,
      }),
    );
  }

  /** @throws ConfigError where a source or a transform can't be made. */
  static async open(parts: StreamParts): Promise<StreamData> {
    const { data, dataDir } = parts.config;
    if (data.sources.length === 0)
      throw new ConfigError(
        'ECAVG_CONFIG_COMBINATION',
        'data.stream needs data.sources: say where the readings come from',
      );
    const normal = await normalFile(dataDir).read();
    return new StreamData(parts, normal?.channels ?? {});
  }

  /** Reads what is there already, and goes on as more comes. */
  async start(): Promise<void> {
    for (const source of this.#sources) await source.start();
  }

  get train(): View {
    return this.#store.view('train');
  }

  get validation(): View {
    return this.#store.view('validation');
  }

  get ready(): boolean {
    return this.#store.train.count >= this.parts.config.data.minSamples && this.#store.validation.count > 0;
  }

  get samples(): number {
    return this.#store.train.count;
  }

  trainingView(seed: number): View {
    return withSensorDropout(this.train, this.parts.stream, this.parts.config.data.sensorDropout, seed);
  }

  /** Follows the score of the model in service on each window. */
  score(value: number): void {
    this.#follow('score', value);
  }

  /** Another model is in service: its scores are others. */
  newModel(): void {
    this.#drift.forget('score');
  }

  /** Since the last report; see Quality. */
  report(): { values: Record<string, number>; channels: Record<string, Record<string, number>> } {
    const { values, channels } = this.quality.report();
    const named: Record<string, Record<string, number>> = {};
    for (const [name, counts] of Object.entries(channels)) {
      const psi = this.#drift.psi(name);
      named[name] = psi === undefined ? counts : { ...counts, psi };
    }
    const { train, validation } = this.#store;
    return { values: { ...values, storedTrain: train.count, storedValidation: validation.count }, channels: named };
  }

  async close(): Promise<void> {
    for (const [i, source] of this.#sources.entries())
      await source
        .stop()
        .catch((error: unknown) => this.parts.log.warn({ err: error, source: i }, 'a source did not stop'));
    await this.#keepNormal();
    this.#store.close();
  }

  #window(window: StreamWindow, live: boolean): void {
    for (const [c, { name }] of this.parts.stream.channels.entries()) this.#follow(name, window.means[c] as number);
    if (live) this.windows.tell(window);
    if (!this.#wasReady && this.ready) {
      this.#wasReady = true;
      this.enough.tell();
    }
  }

  #follow(what: string, value: number): void {
    const drift = this.#drift.add(what, value);
    if (drift) this.drifts.tell(drift);
  }

  async #keepNormal(): Promise<void> {
    const { score: _, ...channels } = this.#drift.known;
    const { config, log } = this.parts;
    await normalFile(config.dataDir)
      .write({ channels })
      .catch((error: unknown) => log.warn({ err: error }, 'what is normal could not be kept'));
  }
}
