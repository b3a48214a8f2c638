// For tests of the follower: a broker that is not there, and a cloud behind it.
import { EventEmitter } from 'node:events';
import {
  blobRef,
  codec,
  encodeSigned,
  type Layout,
  type Manifest,
  makeLayout,
  type RoundMessage,
  Signer,
  sha256Hex,
  splitBlob,
  Topics,
} from '@ecavg/protocol';
import type { IClientPublishOptions } from 'mqtt';
import type { ConnectOptions } from '../mqtt.js';

export const [FLEET, MODEL, EDGE] = ['plant', 'm', 'e'];
const CHUNK = 8;

const filter = (topic: string): RegExp => new RegExp(`^${topic.replace(/\./g, '\\.').replace(/\+/g, '[^/]+')}$`);

/** A client, and the broker's retained messages behind it. */
export class FakeClient extends EventEmitter {
  connected = false;
  ended = false;
  options = { protocolVersion: 4 };
  readonly sent: { topic: string; payload: Buffer; retain: boolean }[] = [];
  readonly subscribed: string[] = [];

  constructor(
    readonly retained: Map<string, Uint8Array>,
    readonly will: ConnectOptions['will'],
  ) {
    super();
  }

  connect(): void {
    this.connected = true;
    this.emit('connect', {});
  }

  drop(): void {
    this.connected = false;
    this.emit('close');
  }

  subscribe(topics: string | string[], _options: object, done: (error?: Error) => void): void {
    const wanted = [topics].flat();
    this.subscribed.push(...wanted);
    setImmediate(() => {
      done();
      for (const [topic, payload] of this.retained)
        if (wanted.some((w) => filter(w).test(topic))) this.emit('message', topic, payload);
    });
  }

  unsubscribe(): void {}

  publish(topic: string, payload: Buffer, options: IClientPublishOptions, done?: (error?: Error) => void): void {
    this.sent.push({ topic, payload, retain: options.retain === true });
    done?.();
  }

  async publishAsync(topic: string, payload: Buffer, options: IClientPublishOptions): Promise<void> {
    this.publish(topic, payload, options);
  }

  async endAsync(): Promise<void> {
    this.connected = false;
    this.ended = true;
  }
}

/** A cloud that publishes what the test wants. */
export class FakeCloud {
  readonly signer = Signer.generate();
  readonly topics = new Topics(FLEET);
  readonly retained = new Map<string, Uint8Array>();

  publishBlob(blob: Uint8Array): Manifest['infer'] {
    const ref = blobRef(blob, CHUNK);
    for (const [i, chunk] of splitBlob(blob, CHUNK).entries())
      this.retained.set(this.topics.chunk(MODEL, ref.sha256, i), chunk);
    return ref;
  }

  /** Makes the messages of a version; its blobs are published but for those left out. */
  version(
    version: number,
    weights: readonly number[],
    { graph = 'graph', ...more }: { graph?: string } & Partial<Manifest> = {},
  ): Uint8Array {
    const infer = bytesOf(Float32Array.from(weights));
    return this.manifest({
      version,
      infer: this.publishBlob(infer),
      train: this.publishBlob(Buffer.from(graph)),
      layout: layoutOf(weights.length).hash,
      ...more,
    });
  }

  manifest(body: Pick<Manifest, 'version' | 'infer' | 'train' | 'layout'> & Partial<Manifest>): Uint8Array {
    const { v: _, type: __, key: ___, signature: ____, ...rest } = body as Manifest;
    const whole = {
      fleet: FLEET,
      model: MODEL,
      parent: null,
      round: body.version - 1,
      createdAt: 1,
      input: [1],
      classes: [],
      simulatedData: true,
      metrics: {},
    };
    return encodeSigned('manifest', { ...whole, ...rest }, this.signer);
  }

  /** What leads from one version's weights to another's. */
  difference(from: readonly number[], to: readonly number[]): NonNullable<Manifest['difference']> {
    const delta = Float32Array.from(to, (w, i) => w - (from[i] as number));
    const payload = codec('raw').encode(delta, layoutOf(from.length), {});
    return { ...this.publishBlob(payload), from: shaOf(from), codec: 'raw' };
  }

  round(round: number, more: Partial<RoundMessage> = {}): Uint8Array {
    const body = {
      model: MODEL,
      round,
      state: 'open' as const,
      base: { version: 1, sha256: 'a'.repeat(64) },
      openedAt: 1,
      deadlineAt: 2,
      hyper: { epochs: 1, learningRate: 0.1, momentum: 0, seed: 0 },
      codec: { name: 'raw', options: {} },
    };
    return encodeSigned('round', { ...body, ...more }, this.signer);
  }
}

export const bytesOf = (v: Float32Array): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
export const layoutOf = (length: number): Layout => makeLayout([{ name: 'w', shape: [length] }]);
export const shaOf = (weights: readonly number[]): string => sha256Hex(bytesOf(Float32Array.from(weights)));
