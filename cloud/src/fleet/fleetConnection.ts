import { decodeMessage, parseEdgeTopic, replyAddress, type Topics } from '@ecavg/protocol';
import type { Logger, MqttClient } from '@ecavg/runtime';
import type { FleetModel } from '../fleetModel.js';

/** One fleet's connection: brings every message of an edge to the models that it concerns. */
export class FleetHub {
  readonly #models: ReadonlyMap<string, FleetModel>;
  readonly #first: FleetModel;

  /** @param models of this fleet, at least one. */
  constructor(
    private readonly client: MqttClient,
    private readonly topics: Topics,
    readonly models: readonly [FleetModel, ...FleetModel[]],
    private readonly log: Logger,
  ) {
    this.#models = new Map(models.map((m) => [m.config.model.id, m]));
    this.#first = models[0];
  }

  async start(): Promise<void> {
    const { client, models, topics, log } = this;
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
    const link = (connected: boolean) => (): void => {
      if (connected === linked) return;
      linked = connected;
      for (const m of models) m.events.emit('link', { connected });
    };
    let linked = client.connected;
    client.on('connect', link(true));
    client.on('close', link(false));
    if (client.connected) onConnect();
    await Promise.all(begun);
  }

  #message(topic: string, payload: Uint8Array): void {
    // The broker's own figures, which others read.
    if (topic.startsWith('$SYS/')) return;
    // Where the model can't be read, or is none of ours, the first one's inbox counts and answers.
    const model = this.#models.get(replyAddress(this.topics, topic)?.model ?? '') ?? this.#first;
    void model.queue.run(async () => {
      try {
        const address = parseEdgeTopic(this.topics, topic);
        if (address.kind === 'receipt') return;
        if (address.kind === 'enrol') await model.inbox.enrol(topic, payload);
        else if (address.kind === 'update') await model.inbox.take(topic, payload);
        else if (address.kind === 'share') await model.shares.take(topic, payload);
        else if (address.kind === 'status') {
          const status = decodeMessage('status', payload);
          for (const m of this.models) void m.queue.run(async () => m.status(status));
        } else if (address.kind === 'metrics') {
          const report = decodeMessage('metrics', payload);
          const of = this.#models.get(report.model);
          if (of) void of.queue.run(async () => of.report(report));
        }
      } catch (error) {
        model.inbox.reject(topic, error);
      }
    });
  }

  async stop(): Promise<void> {
    for (const m of this.models) await m.stop();
    await this.client.endAsync(true);
  }
}
