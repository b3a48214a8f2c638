import { join } from 'node:path';
import { Random, type StreamConfig, type StreamWindow, streamDigest, streamShape, type View } from '@ecavg/models';
import { ConfigError, type Logger, readJson, writeDurable } from '@ecavg/runtime';
import { z } from 'zod';
import type { Governor } from '../power/governor.js';
import { CsvSource, progressFile } from '../sources/csv.js';
import { MqttJsonSource } from '../sources/mqttJson.js';
import type { Source } from '../sources/source.js';
import { SparkplugSource } from '../sources/sparkplug.js';
import type { Login } from '../uplink/identity.js';
import type { SamplesConfig } from './config.js';
import { type Drift, DriftMonitor } from './drift.js';
import { withSensorDropout } from './dropout.js';
import { StreamIntake } from './intake.js';
import type { LocalData } from './localData.js';
import { Quality } from './quality.js';
import { SampleStore } from './sampleStore.js';

const normalSchema = z.record(z.string(), z.array(z.number()));

/** A gateway's own sensors as the data it learns from. */
export class StreamData implements LocalData {
  readonly test = undefined;
  readonly simulated = false;
  readonly shape: readonly number[];
  readonly classes: readonly string[];
  readonly stream: string;
  readonly seed: number;
  readonly quality: Quality;
  readonly #store: SampleStore;
  readonly #drift: DriftMonitor;
  readonly #sources: readonly Source[];
  #wasReady = false;
  /** Called with every window of live sources; set before `start`. */
  onWindow: (window: StreamWindow) => void = () => {};
  /** Called where a channel, or the model's score, is not what it was. */
  onDrift: (drift: Drift) => void = () => {};
  /** Called where there is enough to train on for the first time. */
  onReady: () => void = () => {};

  private constructor(
    private readonly config: SamplesConfig,
    private readonly settings: StreamConfig,
    login: Login,
    governor: Governor,
    normal: Readonly<Record<string, readonly number[]>>,
    private readonly log: Logger,
  ) {
    const { data, edge } = config;
    this.shape = streamShape(settings);
    this.classes = settings.classes;
    this.stream = streamDigest(settings);
    this.seed = new Random(0, edge).int(1000);
    this.quality = new Quality(settings);
    this.#store = new SampleStore(
      settings,
      {
        folder: join(config.dataDir, 'samples'),
        edge,
        seed: data.seed,
        validationShare: data.validationShare,
        maxBytes: data.store.maxMegabytes * 1e6,
        maxWindows: data.store.windows,
      },
      log,
    );
    this.#drift = new DriftMonitor(data.drift, normal);
    const intake = new StreamIntake(
      settings,
      this.#store,
      this.quality,
      governor,
      (window, live) => this.#window(window, live),
      log,
    );
    const means = { stream: settings, intake, log, broker: config.broker, login, recordings: intake };
    this.#sources = data.sources.map((source, i): Source => {
      const field = `data.sources.${i}`;
      const clientId = `ecavg-${config.fleet}-edge-${edge}-source-${i}`;
      if (source.type === 'mqtt-json') return new MqttJsonSource(source, { ...means, clientId }, field);
      if (source.type === 'sparkplug-b') return new SparkplugSource(source, { ...means, clientId }, field);
      return new CsvSource(source, means, progressFile(config.dataDir, i));
    });
  }

  static async open(
    config: SamplesConfig,
    stream: StreamConfig,
    login: Login,
    governor: Governor,
    log: Logger,
  ): Promise<StreamData> {
    if (config.data.sources.length === 0)
      throw new ConfigError('data.stream needs data.sources: say where the readings come from');
    const normal = await readJson(join(config.dataDir, 'samples', 'normal.json'), normalSchema);
    return new StreamData(config, stream, login, governor, normal ?? {}, log);
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
    return this.#store.train.count >= this.config.data.minSamples && this.#store.validation.count > 0;
  }

  get samples(): number {
    return this.#store.train.count;
  }

  trainingView(seed: number): View {
    return withSensorDropout(this.train, this.settings, this.config.data.sensorDropout, seed);
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
    for (const source of this.#sources) await source.stop();
    await this.#keepNormal();
    this.#store.close();
  }

  #window(window: StreamWindow, live: boolean): void {
    for (const [c, { name }] of this.settings.channels.entries()) this.#follow(name, window.means[c] as number);
    if (live) this.onWindow(window);
    if (!this.#wasReady && this.ready) {
      this.#wasReady = true;
      this.onReady();
    }
  }

  #follow(what: string, value: number): void {
    const drift = this.#drift.add(what, value);
    if (drift) this.onDrift(drift);
  }

  async #keepNormal(): Promise<void> {
    const { score: _, ...channels } = this.#drift.known;
    const file = join(this.config.dataDir, 'samples', 'normal.json');
    await writeDurable(file, JSON.stringify(channels)).catch((error: unknown) =>
      this.log.warn({ err: error }, 'what is normal could not be kept'),
    );
  }
}
