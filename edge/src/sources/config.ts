import { csvMapping, TIME_FORMATS } from '@ecavg/models';
import { brokerSchema } from '@ecavg/runtime';
import { compile } from 'json-p3';
import { z } from 'zod';

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
const level = z.string().regex(/^[^+#/\0]{1,100}$/, 'expected one topic level, without +, # and /');
const metric = z.strictObject({
  /** Device of the edge node; none: a metric of the node itself. */
  device: level.optional(),
  metric: z.string().min(1).max(500),
});

/** Where sensors publish; default: the gateway's own broker, with its credentials. */
const broker = brokerSchema.unwrap().optional();

const mqttJsonSchema = z.strictObject({
  type: z.literal('mqtt-json'),
  broker,
  topic: filter,
  /** Without one, a reading has the time at which it came. */
  time: z.strictObject({ path, format: z.enum(TIME_FORMATS).default('iso') }).optional(),
  /** Where each channel's value is in a message; a message may hold some of them. */
  channels: z.record(z.string(), path).default({}),
  /** Readings a second where a path finds several values: the last one has the message's time. */
  sampleHz: z.number().gt(0).optional(),
  /** Where the name of the class is: in force from the message's time on. */
  label: path.optional(),
});

const sparkplugSchema = z.strictObject({
  type: z.literal('sparkplug-b'),
  broker,
  group: level,
  node: level,
  channels: z.record(z.string(), metric).default({}),
  label: metric.optional(),
  /** Asks the node to be born again where its messages can't be understood without. */
  rebirth: z.boolean().default(true),
});

const csvSchema = z.strictObject({
  type: z.literal('csv'),
  /** A file, or files by a `*` in the last part. */
  path: z.string().min(1),
  /** Also takes files that come later. */
  watch: z.boolean().default(true),
  /** The files grow: new rows are read as they come, and join the readings of other sources by their time. */
  follow: z.boolean().default(false),
  ...csvMapping,
});

export const sourceSchema = z
  .discriminatedUnion('type', [mqttJsonSchema, sparkplugSchema, csvSchema])
  .refine(
    (s) => s.type === 'csv' || s.label !== undefined || Object.keys(s.channels).length > 0,
    'names neither channels nor a label',
  )
  .refine((s) => s.type !== 'csv' || !s.follow || s.time !== undefined, 'follow: true needs time.column');

export type SourceConfig = z.output<typeof sourceSchema>;
export type MqttJsonConfig = z.output<typeof mqttJsonSchema>;
export type SparkplugConfig = z.output<typeof sparkplugSchema>;
export type CsvConfig = z.output<typeof csvSchema>;
