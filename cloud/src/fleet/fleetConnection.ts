// Fleet: the gateways: who they are, their keys, what they answered before, who is asked to train; the connection to them; events.
// It may touch the room aggregation.
import {
  decodeMessage,
  type EdgeTopic,
  type MetricsMessage,
  parseEdgeTopic,
  replyAddress,
  type StatusMessage,
  type Topics,
} from '@ecavg/protocol';
import type { Logger, MqttClient, SerialQueue } from '@ecavg/runtime';

/** A model of the fleet, as the fleet's connection sees it. */
export interface ConnectedModel {
  readonly id: string;
  /** Where all work on the model is done, one step after another. */
  readonly queue: SerialQueue;
  /** Publishes what is in force and takes up an interrupted round; the broker must be connected. */
  start(): Promise<void>;
  /** Says everything again: a broker that restarted may have lost what it retained. */
  repeat(): Promise<void>;
  stop(): Promise<void>;
  /** The broker was reached, or lost. */
  link(connected: boolean): void;
  enrol(topic: string, payload: Uint8Array): Promise<void>;
  update(topic: string, payload: Uint8Array): Promise<void>;
  share(topic: string, payload: Uint8Array): Promise<void>;
  /** Counts and answers a message that can't be used. */
  reject(topic: string, error: unknown): void;
  status(message: StatusMessage): void;
  report(message: MetricsMessage): void;
}

export interface FleetConnectionParts {
  readonly client: MqttClient;
  readonly topics: Topics;
  readonly models: readonly [ConnectedModel, ...ConnectedModel[]];
  readonly log: Logger;
}

type Handler = (to: ConnectedModel, topic: string, payload: Uint8Array) => Promise<void> | void;

/** One fleet's connection: brings every message of an edge to the models that it concerns. */
export class FleetConnection {
  readonly #models: ReadonlyMap<string, ConnectedModel>;
  readonly #first: ConnectedModel;
  readonly #handlers: Readonly<Record<EdgeTopic['kind'], Handler>>;

  constructor(private readonly parts: FleetConnectionParts) {
    const { models } = parts;
    this.#models = new Map(models.map((m) => [m.id, m]));
    this.#first = models[0];
    this.#handlers = {
      enrol: (to, topic, payload) => to.enrol(topic, payload),
      update: (to, topic, payload) => to.update(topic, payload),
      share: (to, topic, payload) => to.share(topic, payload),
      status: (_to, _topic, payload) => this.#status(decodeMessage('status', payload)),
      metrics: (_to, _topic, payload) => this.#report(decodeMessage('metrics', payload)),
      // The cloud's own answers.
      receipt: () => undefined,
    };
  }

  async start(): Promise<void> {
    const { client, models, topics, log } = this.parts;
    client.on('message', (topic, payload) => this.#message(topic, payload));
    const connected = new Promise<void>((resolve) => {
      if (client.connected) resolve();
      else client.once('connect', () => resolve());
    });
    // First on each queue: no message is handled before the interrupted round, if any, is taken up again.
    const begun = models.map((m) =>
      m.queue.run(async () => {
        await connected;
        await m.start();
      }),
    );
    let first = true;
    const subscribe = async (): Promise<void> => {
      if (!first) await Promise.all(models.map((m) => m.queue.run(() => m.repeat())));
      first = false;
      await Promise.all(models.map((m) => m.queue.idle()));
      await client.subscribeAsync(topics.cloudSubscriptions, { qos: 1 });
    };
    const onConnect = (): void => {
      subscribe().catch((error: unknown) => log.warn({ err: error }, 'could not subscribe'));
    };
    client.on('connect', onConnect);
    this.#watchLink();
    if (client.connected) onConnect();
    await Promise.all(begun);
  }

  /** Tells the models each time that the broker is reached or lost. */
  #watchLink(): void {
    const { client, models } = this.parts;
    let linked = client.connected;
    const link = (connected: boolean): void => {
      if (connected === linked) return;
      linked = connected;
      for (const m of models) m.link(connected);
    };
    client.on('connect', () => link(true));
    client.on('close', () => link(false));
  }

  #message(topic: string, payload: Uint8Array): void {
    // The broker's own figures, which others read.
    if (topic.startsWith('$SYS/')) return;
    const { topics } = this.parts;
    // Where the model can't be read, or is none of ours, the first one counts and answers.
    const model = this.#models.get(replyAddress(topics, topic)?.model ?? '') ?? this.#first;
    void model.queue.run(async () => {
      try {
        const { kind } = parseEdgeTopic(topics, topic);
        await this.#handlers[kind](model, topic, payload);
      } catch (error) {
        model.reject(topic, error);
      }
    });
  }

  #status(status: StatusMessage): void {
    for (const m of this.parts.models) void m.queue.run(async () => m.status(status));
  }

  #report(report: MetricsMessage): void {
    const model = this.#models.get(report.model);
    if (model) void model.queue.run(async () => model.report(report));
  }

  async stop(): Promise<void> {
    for (const m of this.parts.models) await m.stop();
    await this.parts.client.endAsync(true);
  }
}
