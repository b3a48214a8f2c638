import { CodedError } from '@ecavg/protocol/errors';
import type { MqttClient } from '@ecavg/runtime';
import { get } from 'sparkplug-payload';
import { z } from 'zod';
import { ownBroker, subscribeSource } from '../mqtt.js';
import { channelPlaces, defineSource, type Source, type SourceMeans } from '../source.js';

const level = z.string().regex(/^[^+#/\0]{1,100}$/, 'expected one topic level, without +, # and /');
const metric = z.strictObject({
  /** Device of the edge node; none: a metric of the node itself. */
  device: level.optional(),
  metric: z.string().min(1).max(500),
});

export const sparkplugSchema = z
  .strictObject({
    broker: ownBroker,
    group: level,
    node: level,
    channels: z.record(z.string(), metric).default({}),
    label: metric.optional(),
    /** Asks the node to be born again where its messages can't be understood without. */
    rebirth: z.boolean().default(true),
  })
  .refine((s) => s.label !== undefined || Object.keys(s.channels).length > 0, 'names neither channels nor a label');
type SparkplugConfig = z.output<typeof sparkplugSchema>;

const NAMESPACE = 'spBv1.0';
const codec = get(NAMESPACE);
const REBIRTH_GAP_MS = 10_000;

type Payload = ReturnType<NonNullable<typeof codec>['decodePayload']>;
type Metric = NonNullable<Payload['metrics']>[number];

/**
 * A Sparkplug B edge node and its devices (Eclipse Sparkplug 3.0): births name the metrics and give them aliases, data messages
 * may use those alone, deaths end what their node or device measures. A gap in the sequence numbers, or an alias that is not
 * known (births are not retained), makes this source ask the node for a rebirth.
 */
export class SparkplugSource implements Source {
  readonly #channels: readonly {
    readonly channel: number;
    readonly of: { device?: string | undefined; metric: string };
  }[];
  /** Name of each alias: the node's aliases are unique over its devices. */
  readonly #aliases = new Map<string, string>();
  #sequence: number | undefined;
  #birth: number | undefined;
  #client: MqttClient | undefined;
  #asked = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly config: SparkplugConfig,
    private readonly means: SourceMeans,
    /** Publishes the command for a rebirth; default: on the source's connection. */
    private readonly command = (topic: string, payload: Uint8Array): void => {
      this.#client?.publish(topic, Buffer.from(payload), { qos: 0 });
    },
  ) {
    this.#channels = channelPlaces(means, config.channels);
  }

  async start(): Promise<void> {
    const { group, node, broker } = this.config;
    const topics = ['NBIRTH', 'NDATA', 'NDEATH']
      .map((type) => `${NAMESPACE}/${group}/${type}/${node}`)
      .concat(['DBIRTH', 'DDATA', 'DDEATH'].map((type) => `${NAMESPACE}/${group}/${type}/${node}/+`));
    this.#client = subscribeSource(this.means, broker, topics, (topic, payload) => this.take(topic, payload));
    // Whatever was born before this gateway came is not known.
    this.#client.on('connect', () => this.#ask());
  }

  async stop(): Promise<void> {
    await this.#client?.endAsync(true);
  }

  take(topic: string, message: Uint8Array, now = Date.now()): void {
    const [, , type = '', , device] = topic.split('/');
    let payload: Payload;
    try {
      if (!codec) throw new CodedError('ECAVG_PROGRAM', 'the codec is missing');
      payload = codec.decodePayload(message);
    } catch (error) {
      return this.means.intake.bad('not-sparkplug', `${topic}: ${(error as Error).message}`);
    }
    const at = numeric(payload.timestamp) ?? now;
    if (type === 'NDEATH') return this.#nodeDied(payload, now);
    this.#inOrder(type, numeric(payload.seq));
    if (type === 'NBIRTH') this.#born(payload);
    if (type === 'DDEATH') return this.#gone(device, at);
    const birth = type.endsWith('BIRTH');
    for (const metric of payload.metrics ?? []) this.#metric(metric, device, at, birth);
  }

  /** A will of an earlier session can come after the birth of the next. */
  #nodeDied(payload: Payload, now: number): void {
    const of = bdSeq(payload);
    if (of !== undefined && this.#birth !== undefined && of !== this.#birth) return;
    this.#aliases.clear();
    this.#sequence = undefined;
    // The will was written when the node came: its time says nothing.
    for (const { channel } of this.#channels) this.means.intake.gone(channel, now);
  }

  #born(payload: Payload): void {
    this.#aliases.clear();
    this.#birth = bdSeq(payload);
  }

  #gone(device: string | undefined, at: number): void {
    for (const { channel, of } of this.#channels) if (of.device === device) this.means.intake.gone(channel, at);
  }

  /** Sequence numbers run from 0 at the node's birth to 255 and round again, over all its messages but its death. */
  #inOrder(type: string, seq: number | undefined): void {
    const expected = type === 'NBIRTH' || this.#sequence === undefined ? undefined : (this.#sequence + 1) % 256;
    if (expected !== undefined && seq !== undefined && seq !== expected) {
      this.means.intake.bad('lost-message', `${this.config.node}: message ${seq} came where ${expected} was due`);
      this.#ask();
    }
    this.#sequence = seq;
  }

  #metric(metric: Metric, device: string | undefined, at: number, birth: boolean): void {
    const alias = numeric(metric.alias);
    const key = String(alias);
    if (birth && alias !== undefined && metric.name) this.#aliases.set(key, metric.name);
    const name = metric.name || this.#aliases.get(key);
    if (!name) return this.#ask();
    const time = numeric(metric.timestamp) ?? at;
    const { label } = this.config;
    if (label && label.device === device && label.metric === name)
      this.means.intake.label(time, metric.value === null || metric.isNull ? '' : String(metric.value));
    const found = this.#channels.find(({ of }) => of.device === device && of.metric === name);
    if (!found) return;
    const value = metric.isNull ? null : metric.value;
    if (value === null || value === undefined) this.means.intake.gone(found.channel, time);
    else if (typeof value === 'boolean') this.means.intake.reading(found.channel, time, value ? 1 : 0);
    else {
      const number = numeric(value);
      if (number === undefined) this.means.intake.bad('not-a-number', `${name} is a ${metric.type}`);
      else this.means.intake.reading(found.channel, time, number);
    }
  }

  #ask(): void {
    const { group, node, rebirth } = this.config;
    if (!rebirth || !codec || performance.now() - this.#asked < REBIRTH_GAP_MS) return;
    this.#asked = performance.now();
    const metrics = [{ name: 'Node Control/Rebirth', type: 'Boolean' as const, value: true, timestamp: Date.now() }];
    this.command(`${NAMESPACE}/${group}/NCMD/${node}`, codec.encodePayload({ timestamp: Date.now(), metrics }));
    this.means.log.info({ group, node }, 'asked the Sparkplug node for a rebirth');
  }
}

/** Numbers come as such or, 64 bits wide, as objects of their own. */
function numeric(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'object' && value !== null && 'toNumber' in value && typeof value.toNumber === 'function')
    return Number(value.toNumber());
  return undefined;
}

const bdSeq = (payload: Payload): number | undefined =>
  numeric(payload.metrics?.find((m) => m.name === 'bdSeq')?.value);

export const source = defineSource({
  about:
    '`group`, `node`, `channels: { name: { device, metric } }`, `label: { device, metric }`. Births, aliases, deaths and late wills as the Sparkplug 3.0 specification has them; a lost message or an unknown alias asks the node for a rebirth',
  schema: sparkplugSchema,
  make: (settings, means) => new SparkplugSource(settings, means),
});
