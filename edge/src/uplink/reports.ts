import { encodeMessage, type Manifest, type MetricsMessage } from '@ecavg/protocol';

/** Measurements by name: accuracies in [0, 1], losses, seconds, bytes. */
export type Values = Record<string, number>;

interface ReportsParts {
  readonly edge: string;
  readonly model: string;
  readonly topic: string;
  publish(topic: string, payload: Uint8Array): void;
  /** The newest round and the version in hand; 0 where there is none yet. */
  now(): { readonly round: number; readonly version: number };
}

/** What this gateway tells the cloud of its measurements. */
export class Reports {
  /** Said again where the cloud offers the same version once more. */
  #ofVersion: { readonly event: 'adopted' | 'kept'; readonly values: Values } | undefined;

  constructor(private readonly parts: ReportsParts) {}

  /** Of the round and the version in hand. */
  now(event: MetricsMessage['event'], values: Values, channels?: Record<string, Values>): void {
    this.#send({ event, ...this.parts.now(), values, ...(channels && { channels }) });
  }

  trained(round: number, version: number, values: Values): void {
    this.#send({ event: 'trained', round, version, values });
  }

  /** What became of a version. @param costs are said once, however often the cloud asks. */
  version(event: 'adopted' | 'kept', { round, version }: Manifest, values: Values, costs: Values): void {
    this.#ofVersion = { event, values: { ...values, bytesDown: 0 } };
    this.#send({ event, round, version, values: { ...values, ...costs } });
  }

  versionAgain({ round, version }: Manifest): void {
    if (this.#ofVersion) this.#send({ ...this.#ofVersion, round, version });
  }

  #send(body: Omit<MetricsMessage, 'v' | 'type' | 'edge' | 'model'>): void {
    const { edge, model, topic, publish } = this.parts;
    publish(topic, encodeMessage('metrics', { edge, model, ...body }));
  }
}
