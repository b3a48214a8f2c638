import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeMessage,
  encodeMessage,
  enrolmentProof,
  type Manifest,
  type MetricsMessage,
  ProtocolError,
  pack,
  type Receipt,
  type RoundMessage,
  type Signer,
  Topics,
  tokenHash,
  unpack,
} from '@ecavg/protocol';
import {
  connectBroker,
  Downloader,
  Flow,
  type Logger,
  type MqttClient,
  nextSession,
  readIfThere,
  readSecret,
  Sender,
  Trust,
  writeDurable,
} from '@ecavg/runtime';
import { z } from 'zod';
import type { RegionalConfig } from './config.js';

const SOFTWARE = 'ecavg 0.1.0 (regional)';

const bytes = z.custom<Uint8Array>((v) => v instanceof Uint8Array);

/** A partial aggregate that waits for the cloud's receipt. */
const outboxSchema = z.object({ id: z.string(), round: z.int(), base: z.string(), blob: bytes });
export type Outbox = z.output<typeof outboxSchema>;

export interface UpstreamHandlers {
  manifest(manifest: Manifest): void;
  round(round: RoundMessage): void;
  /** The partial aggregate was taken, or refused for good. */
  settled(outbox: Outbox, accepted: boolean, reason: string): Promise<void>;
}

/** A regional aggregator's way up: towards the cloud it is an edge. */
export class Upstream {
  readonly downloads: Downloader;
  readonly #topics: Topics;
  readonly #client: MqttClient;
  readonly #sender: Sender;
  #outbox: Outbox | undefined;
  #online = false;
  #settledRound = 0;
  #samples = 0;
  #version = 0;

  private constructor(
    private readonly config: RegionalConfig,
    private readonly signer: Signer,
    private readonly trust: Trust,
    private readonly session: number,
    private readonly handlers: UpstreamHandlers,
    private readonly log: Logger,
  ) {
    const { fleet, name, broker, resendSeconds } = config.upstream;
    this.#topics = new Topics(fleet);
    const will = { topic: this.#topics.status(name), payload: this.#status(false) };
    const clientId = `ecavg-${fleet}-edge-${name}`;
    this.#client = connectBroker(broker, { clientId, will, persistent: true, username: name }, log);
    const flow = new Flow(this.#client, broker.transfer);
    const chunkBytes = broker.transfer.chunkBytes;
    this.#sender = new Sender({ client: this.#client, flow, chunkBytes, resendSeconds, log });
    this.downloads = new Downloader(this.#client, this.#topics, config.model.id, log);
    this.#client.on('close', () => flow.clear());
    this.#client.on('connect', () => this.#connected());
    this.#client.on('message', (topic, payload) => this.#message(topic, payload));
  }

  static async open(
    config: RegionalConfig,
    signer: Signer,
    handlers: UpstreamHandlers,
    log: Logger,
  ): Promise<Upstream> {
    const folder = join(config.dataDir, 'upstream');
    const trust = await Trust.open(folder, config.upstream.cloudKey);
    const session = await nextSession(join(folder, 'session'));
    const settled = Number((await readIfThere(join(folder, 'settled')))?.toString('utf8') ?? 0) || 0;
    const waiting = await readIfThere(join(folder, 'outbox'));
    const outbox = waiting && outboxSchema.parse(unpack(waiting));
    // It connects at once: whatever is awaited after this could miss a message.
    const upstream = new Upstream(config, signer, trust, session, handlers, log);
    upstream.#outbox = outbox;
    upstream.#settledRound = settled;
    return upstream;
  }

  get outbox(): Outbox | undefined {
    return this.#outbox;
  }

  /** Whether the partial aggregate of a round was made: it waits, or has its receipt. */
  has(round: number): boolean {
    return this.#outbox?.round === round || this.#settledRound >= round;
  }

  /** Stores a partial aggregate and sends it until there is a receipt. */
  async send(outbox: Outbox): Promise<void> {
    await writeDurable(this.#file, pack(outbox));
    this.#outbox = outbox;
    this.#start();
  }

  remember(message: Manifest | RoundMessage): Promise<void> {
    return this.trust.remember(message);
  }

  /** Tells whether there are edges, how many samples they have and which version they follow. */
  status(online: boolean, samples: number, version: number): void {
    if (online === this.#online && samples === this.#samples && version === this.#version) return;
    [this.#online, this.#samples, this.#version] = [online, samples, version];
    this.#publish(this.#topics.status(this.config.upstream.name), this.#status(online), true);
  }

  report(event: MetricsMessage['event'], round: number, version: number, values: Record<string, number>): void {
    const { name: edge } = this.config.upstream;
    const message = { edge, model: this.config.model.id, event, round, version, values };
    this.#publish(this.#topics.metrics(edge), encodeMessage('metrics', message));
  }

  async stop(): Promise<void> {
    this.#sender.done();
    await this.#client.endAsync(true);
  }

  get #file(): string {
    return join(this.config.dataDir, 'upstream', 'outbox');
  }

  get #settledFile(): string {
    return join(this.config.dataDir, 'upstream', 'settled');
  }

  #connected(): void {
    const { name, tokenFile } = this.config.upstream;
    const model = this.config.model.id;
    const topics = [this.#topics.manifest(model), this.#topics.round(model), this.#topics.receipt(name, model)];
    this.#client.subscribe(topics, { qos: 1 }, (error) => {
      if (error) this.log.warn({ err: error }, 'subscription failed');
    });
    this.#publish(this.#topics.status(name), this.#status(this.#online), true);
    if (tokenFile && !this.trust.isEnrolled(this.signer.key)) {
      const proof = enrolmentProof(tokenHash(readSecret(tokenFile)), name, this.signer.key);
      this.#publish(
        this.#topics.enrol(name),
        encodeMessage('enrol', { edge: name, model, key: this.signer.key, proof }),
      );
    }
    this.downloads.resume();
    this.#start();
  }

  #start(): void {
    const outbox = this.#outbox;
    if (!outbox) return;
    const { name: edge } = this.config.upstream;
    const model = this.config.model.id;
    const about = { edge, model, round: outbox.round, base: outbox.base };
    const topic = this.#topics.update(edge, model);
    this.#sender.start({ id: outbox.id, blob: outbox.blob, type: 'update', topic, about });
  }

  #message(topic: string, payload: Uint8Array): void {
    if (this.downloads.accept(topic, payload)) return;
    const model = this.config.model.id;
    try {
      if (topic === this.#topics.manifest(model)) {
        const manifest = decodeMessage('manifest', payload);
        this.trust.check(manifest);
        this.handlers.manifest(manifest);
      } else if (topic === this.#topics.round(model)) {
        const round = decodeMessage('round', payload);
        this.trust.check(round);
        this.handlers.round(round);
      } else this.#receipt(decodeMessage('receipt', payload));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.log.warn({ topic, reason: error.reason, detail: error.message }, 'message refused');
    }
  }

  #receipt(receipt: Receipt): void {
    const { reason = '', status } = receipt;
    const outbox = this.#outbox;
    if (receipt.id === null && status === 'accepted') {
      void this.trust.enrolled(this.signer.key).then(() => this.#start());
      return;
    }
    if (!outbox || !this.#sender.concerns(receipt)) return;
    if (!this.#sender.answered(receipt)) return;
    this.#sender.done();
    this.handlers
      .settled(outbox, status === 'accepted', reason)
      .then(async () => {
        await writeDurable(this.#settledFile, String(outbox.round));
        this.#settledRound = outbox.round;
        // The next one may have taken its place meanwhile.
        if (this.#outbox !== outbox) return;
        await rm(this.#file, { force: true });
        this.#outbox = undefined;
      })
      .catch((error: unknown) => this.log.error({ err: error }, 'could not note the receipt'));
  }

  #status(online: boolean): Uint8Array {
    const { name } = this.config.upstream;
    const models = { [this.config.model.id]: this.#version };
    return encodeMessage('status', {
      edge: name,
      online,
      session: this.session,
      software: SOFTWARE,
      samples: this.#samples,
      models,
    });
  }

  #publish(topic: string, payload: Uint8Array, retain = false): void {
    this.#client.publish(topic, Buffer.from(payload), { qos: 1, retain }, (error) => {
      if (error) this.log.debug({ err: error, topic }, 'message not delivered');
    });
  }
}
