// Room inference: the model in service answers sensors over MQTT, and scores the gateway's own windows.
// May import uplink, samples and learning.
import { LOSSES, type StreamWindow } from '@ecavg/models';
import type { Topics } from '@ecavg/protocol';
import { bytesSchema, type Logger, type StateFile, StateFormat, unchanged } from '@ecavg/runtime';
import { z } from 'zod';
import type { Servable } from '../learning/servable.js';
import type { LocalData } from '../samples/localData.js';
import { StreamData } from '../samples/streamData.js';
import type { EdgeStore } from '../uplink/edgeStore.js';
import type { InferConfig } from './config.js';
import { InferenceEndpoint } from './endpoint.js';
import { InferenceService, type Served } from './service.js';

const keptSchema = z.object({
  onnx: bytesSchema,
  loss: z.enum(LOSSES),
  shape: z.array(z.int().min(1)),
  version: z.int().min(1),
  own: z.boolean(),
  threshold: z.number().optional(),
});

const servingFormat = new StateFormat({
  kind: 'model in service',
  at: { edge: 'serving' },
  holds: 'the model (ONNX) that answered requests in the last run, and its threshold',
  removed: 'safe: requests are answered once a version was taken',
  format: 1,
  encoding: 'messagepack',
  schema: keptSchema,
  migrations: { 0: unchanged },
});

interface Means {
  readonly config: InferConfig;
  readonly topics: Topics;
  readonly edge: string;
  readonly model: string;
  readonly data: LocalData;
  readonly store: EdgeStore;
  readonly log: Logger;
  publish(topic: string, payload: Uint8Array): void;
  /** From time to time, where anything was asked. */
  report(values: Record<string, number>): void;
}

/** The inference service of a gateway: keeps the model in service over a restart, so that it answers before any broker or cloud does. */
export class Inference {
  readonly #service: InferenceService;
  readonly #endpoint: InferenceEndpoint;
  /** The model in service. */
  readonly #file: StateFile<z.output<typeof keptSchema>>;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly means: Means) {
    const { config, topics, edge, model, data, log } = means;
    this.#service = new InferenceService(config, log);
    this.#file = means.store.file('serving', servingFormat);
    const names = { edge, model, classes: data.classes };
    this.#endpoint = new InferenceEndpoint({
      service: this.#service,
      topics,
      names,
      publish: (...of) => means.publish(...of),
      log,
    });
    if (data instanceof StreamData) data.windows.add((window) => this.#follow(data, window));
  }

  /** The topic to subscribe to. */
  get topic(): string {
    return this.#endpoint.requests;
  }

  /** Version that the model in service was made from. */
  get version(): number | undefined {
    return this.#service.version;
  }

  async start(): Promise<void> {
    const { config, data, log } = this.means;
    this.#timer = setInterval(() => this.#report(), config.reportSeconds * 1000);
    const unusable = (error: unknown): void =>
      log.warn({ err: error, why: (error as Error).message }, 'the model of the last run can not be used');
    const kept = await this.#file.read(unusable);
    if (kept?.shape.join() !== data.shape.join()) return;
    try {
      await this.#service.use({ ...kept, threshold: kept.threshold }, undefined);
      log.info({ version: kept.version, own: kept.own }, 'the model of the last run is in service');
    } catch (error) {
      unusable(error);
    }
  }

  /** Takes a request; false for any other message. */
  accept(topic: string, payload: Uint8Array): boolean {
    if (topic !== this.#endpoint.requests) return false;
    this.#endpoint.request(payload);
    return true;
  }

  async serve(servable: Servable): Promise<void> {
    const { data } = this.means;
    await this.#service.use(servable, data.validation);
    if (data instanceof StreamData) data.newModel();
    const { onnx, loss, shape, version, own } = servable;
    const { threshold } = this.#service;
    const kept = { onnx, loss, shape: [...shape], version, own };
    await this.#file.write({ ...kept, ...(threshold !== undefined && { threshold }) });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#service.stop();
  }

  #follow(data: StreamData, window: StreamWindow): void {
    if (this.#service.version === undefined) return;
    void this.#endpoint.window(window, this.means.config.stream).then((score) => {
      if (score !== undefined) data.score(score);
    });
  }

  #report(): void {
    const served = this.#service.report();
    if (served.requests > 0) this.means.report(servedValues(served));
  }
}

/** Latencies as their median and 95th percentile. */
function servedValues({ requests, refused, anomalies, batches, latenciesMs }: Served): Record<string, number> {
  const sorted = [...latenciesMs].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const latency = sorted.length > 0 ? { latencyMedianMs: at(0.5), latency95Ms: at(0.95) } : {};
  return { requests, refused, anomalies, batches, ...latency };
}
