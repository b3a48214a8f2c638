import { parseTime, TIME_FORMATS } from '@ecavg/models/data';
import type { MqttClient } from '@ecavg/runtime';
import { compile, type JSONPathQuery, type JSONValue } from 'json-p3';
import { z } from 'zod';
import { ownBroker, subscribeSource } from '../mqtt.js';
import { channelPlaces, defineSource, type Source, type SourceMeans } from '../source.js';

const path = z.string().superRefine((text, context) => {
  try {
    compile(text);
  } catch (error) {
    context.addIssue({
      code: 'custom',
      message: `is no JSONPath (RFC 9535), as in $.values.temperature: ${(error as Error).message}`,
    });
  }
});

const filter = z.string().regex(/^(?!.*#.)[^\0]{1,500}$/, 'expected an MQTT topic, + and a last # allowed');

export const mqttJsonSchema = z
  .strictObject({
    broker: ownBroker,
    topic: filter,
    /** Without one, a reading has the time at which it came. */
    time: z.strictObject({ path, format: z.enum(TIME_FORMATS).default('iso') }).optional(),
    /** Where each channel's value is in a message; a message may hold some of them. */
    channels: z.record(z.string(), path).default({}),
    /** Readings a second where a path finds several values: the last one has the message's time. */
    sampleHz: z.number().gt(0).optional(),
    /** Where the name of the class is: in force from the message's time on. */
    label: path.optional(),
  })
  .refine((s) => s.label !== undefined || Object.keys(s.channels).length > 0, 'names neither channels nor a label');
type MqttJsonConfig = z.output<typeof mqttJsonSchema>;

/** A larger message is no sensor's. */
const MAX_BYTES = 4 << 20;

/** Sensors that publish JSON: what path expressions find in a message are readings. */
export class MqttJsonSource implements Source {
  readonly #paths: readonly { readonly channel: number; readonly of: JSONPathQuery }[];
  readonly #time: JSONPathQuery | undefined;
  readonly #label: JSONPathQuery | undefined;
  #client: MqttClient | undefined;

  constructor(
    private readonly config: MqttJsonConfig,
    private readonly means: SourceMeans,
  ) {
    this.#paths = channelPlaces(means, config.channels).map(({ channel, of }) => ({
      channel,
      of: compile(of),
    }));
    this.#time = config.time && compile(config.time.path);
    this.#label = config.label === undefined ? undefined : compile(config.label);
  }

  async start(): Promise<void> {
    const { config, means } = this;
    this.#client = subscribeSource(means, config.broker, [config.topic], (topic, payload) => this.take(topic, payload));
  }

  async stop(): Promise<void> {
    await this.#client?.endAsync(true);
  }

  /** Takes one message; what can't be used of it is counted. */
  take(topic: string, payload: Uint8Array, now = Date.now()): void {
    const { intake } = this.means;
    if (payload.length > MAX_BYTES)
      return intake.bad('not-json', `${topic}: ${payload.length} bytes; the limit is ${MAX_BYTES}`);
    let message: JSONValue;
    try {
      message = JSON.parse(Buffer.from(payload).toString('utf8')) as JSONValue;
    } catch (error) {
      return intake.bad('not-json', `${topic}: ${(error as Error).message}`);
    }
    const at = this.#timeOf(message, now);
    if (at === undefined) return intake.bad('no-time', `${topic}: no time at ${this.config.time?.path}`);
    const label = this.#label?.query(message).values()[0];
    if (label !== undefined) intake.label(at, label === null ? '' : String(label));
    for (const { channel, of } of this.#paths) {
      const values = of.query(message).values().flat();
      this.#readings(topic, channel, at, values);
    }
  }

  #timeOf(message: JSONValue, now: number): number | undefined {
    if (!this.#time || !this.config.time) return now;
    const [value] = this.#time.query(message).values();
    if (typeof value !== 'string' && typeof value !== 'number') return undefined;
    const at = parseTime(value, this.config.time.format);
    return Number.isFinite(at) ? at : undefined;
  }

  #readings(topic: string, channel: number, at: number, values: readonly unknown[]): void {
    const { intake, stream } = this.means;
    const step = 1000 / (this.config.sampleHz ?? stream.rateHz);
    for (const [i, value] of values.entries()) {
      const time = at - (values.length - 1 - i) * step;
      if (value === null) intake.gone(channel, time);
      else if (typeof value === 'number') intake.reading(channel, time, value);
      else if (typeof value === 'boolean') intake.reading(channel, time, value ? 1 : 0);
      else if (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)))
        intake.reading(channel, time, Number(value));
      else intake.bad('not-a-number', `${topic}: ${JSON.stringify(value).slice(0, 80)}`);
    }
  }
}

export const source = defineSource({
  about:
    "`topic` (wildcards allowed), `channels: { name: JSONPath }` (RFC 9535), `time: { path, format }`, `label: JSONPath`. A path that finds several values is a burst: the last has the message's time, the others lie `sampleHz` before. `null` means that the sensor has no value. A source may have a `label` alone: labels from a topic of their own",
  schema: mqttJsonSchema,
  make: (settings, means) => new MqttJsonSource(settings, means),
});
