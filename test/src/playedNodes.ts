import { randomBytes } from 'node:crypto';
import type { Artifact } from '@ecavg/models';
import {
  blobRef,
  codec,
  decodeMessage,
  decodeUpdate,
  edgeChunks,
  encodeMessage,
  encodeSigned,
  encodeUpdate,
  type Manifest,
  type Receipt,
  type RoundMessage,
  Signer,
  splitBlob,
  Topics,
  UpdateAssembler,
  type UpdateHeader,
} from '@ecavg/protocol';
import mqtt, { type MqttClient } from 'mqtt';
import { paced } from './pace.js';

const CHUNK_BYTES = 48 * 1024;

/** An update as it came. */
export interface Came {
  readonly id: string;
  readonly header: UpdateHeader;
  readonly payload: Uint8Array;
}

/** A node that a test plays: it hears all of one fleet, and says what the test wants. */
export class PlayedNode {
  readonly signer = Signer.generate();
  readonly topics: Topics;
  /** All messages by topic, newest last. */
  readonly #heard = new Map<string, Uint8Array[]>();
  readonly #waiting = new Set<() => void>();

  private constructor(
    readonly client: MqttClient,
    readonly fleet: string,
    readonly model: string,
  ) {
    this.topics = new Topics(fleet);
    client.on('message', (topic, payload) => {
      this.#heard.set(topic, [...(this.#heard.get(topic) ?? []), payload]);
      for (const look of this.#waiting) look();
    });
  }

  static async connect(url: string, fleet: string, model: string): Promise<PlayedNode> {
    const clientId = `played-${randomBytes(4).toString('hex')}`;
    const client = await mqtt.connectAsync(url, { clientId, protocolVersion: 4 });
    const node = new PlayedNode(client, fleet, model);
    await client.subscribeAsync(`${node.topics.base}/#`, { qos: 1 });
    return node;
  }

  /** Resolves with the first message on a topic that `find` makes something of. */
  async until<T>(topic: string, find: (payload: Uint8Array) => T | undefined, ms = paced(60_000)): Promise<T> {
    return new Promise<T>((done, fail) => {
      const end = (): void => {
        clearTimeout(limit);
        this.#waiting.delete(look);
      };
      const limit = setTimeout(() => {
        end();
        fail(new Error(`nothing of the kind on ${topic} within ${ms} ms`));
      }, ms);
      const look = (): void => {
        for (const payload of this.#heard.get(topic) ?? []) {
          const found = payload.length > 0 ? find(payload) : undefined;
          if (found === undefined) continue;
          end();
          return done(found);
        }
      };
      this.#waiting.add(look);
      look();
    });
  }

  heard(topic: string): readonly Uint8Array[] {
    return this.#heard.get(topic) ?? [];
  }

  async publish(topic: string, payload: Uint8Array, retain = false): Promise<void> {
    await this.client.publishAsync(topic, Buffer.from(payload), { qos: 1, retain });
  }

  /** As a cloud: the chunks of a blob. */
  async publishBlob(blob: Uint8Array): Promise<Manifest['infer']> {
    const ref = blobRef(blob, CHUNK_BYTES);
    for (const [i, data] of splitBlob(blob, CHUNK_BYTES).entries())
      await this.publish(this.topics.chunk(this.model, ref.sha256, i), data, true);
    return ref;
  }

  /** As a cloud: the manifest of a version, without its blobs. */
  async manifest(
    version: number,
    { infer, train, layout, info }: Artifact,
    more: Partial<Manifest> = {},
  ): Promise<void> {
    const body = {
      fleet: this.fleet,
      model: this.model,
      version,
      parent: null,
      round: version - 1,
      createdAt: Date.now(),
      infer: blobRef(infer, CHUNK_BYTES),
      train: blobRef(train, CHUNK_BYTES),
      layout: layout.hash,
      input: info.input.shape.slice(1),
      classes: [],
      simulatedData: true,
      metrics: {},
      ...more,
    };
    await this.publish(this.topics.manifest(this.model), encodeSigned('manifest', body, this.signer), true);
  }

  /** As a cloud: a round that is open for a minute. */
  async round(round: number, version: number, { sha256 }: Artifact, more: Partial<RoundMessage> = {}): Promise<void> {
    const openedAt = Date.now();
    const body = {
      model: this.model,
      round,
      state: 'open' as const,
      base: { version, sha256 },
      openedAt,
      deadlineAt: openedAt + 60_000,
      hyper: { epochs: 1, learningRate: 0.1, momentum: 0, seed: 1 },
      codec: { name: 'raw', options: {} },
      ...more,
    };
    await this.publish(this.topics.round(this.model), encodeSigned('round', body, this.signer), true);
  }

  /** As a cloud: the update of an edge for a round. */
  update(edge: string, round: number): Promise<Came> {
    const assembler = new UpdateAssembler(1 << 26);
    const seen = new Set<Uint8Array>();
    return this.until(this.topics.update(edge, this.model), (payload) => {
      if (seen.has(payload)) return undefined;
      seen.add(payload);
      const chunk = decodeMessage('update', payload);
      if (chunk.round !== round) return undefined;
      const result = assembler.add(chunk);
      return 'blob' in result ? { id: chunk.id, ...decodeUpdate(result.blob) } : undefined;
    });
  }

  async receipt(edge: string, receipt: Pick<Receipt, 'id' | 'status'> & Partial<Receipt>): Promise<void> {
    const message = encodeMessage('receipt', { round: null, ...receipt });
    await this.publish(this.topics.receipt(edge, this.model), message);
  }

  /** As an edge: that it is there. */
  async online(edge: string, samples: number, version: number): Promise<void> {
    const models = { [this.model]: version };
    const body = { edge, online: true, session: Date.now(), software: 'played', samples, models };
    await this.publish(this.topics.status(edge), encodeMessage('status', body), true);
  }

  /** As an edge: its answer to a round. */
  async send(edge: string, round: number, { sha256, layout }: Artifact, delta: Float32Array): Promise<void> {
    const about = { edge, model: this.model, round, base: sha256 };
    const header = {
      ...about,
      fleet: this.fleet,
      codec: 'raw',
      layout: layout.hash,
      samples: 10,
      steps: 5,
      createdAt: Date.now(),
      metrics: { loss: 1 },
    };
    const blob = encodeUpdate(header, codec('raw').encode(delta, layout, {}), this.signer);
    for (const chunk of edgeChunks(blob, about, CHUNK_BYTES))
      await this.publish(this.topics.update(edge, this.model), encodeMessage('update', chunk));
  }

  async close(): Promise<void> {
    await this.client.endAsync(true);
  }
}
