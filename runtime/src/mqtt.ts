import { readFileSync } from 'node:fs';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { z } from 'zod';
import { CREDENTIALS, withoutCredentials } from './config.js';
import { ConfigError } from './errors.js';
import type { Logger } from './logger.js';

export type { MqttClient };

export const brokerSchema = z
  .strictObject({
    url: z
      .string()
      .regex(/^(mqtts?|wss?):\/\//, 'expected mqtt://, mqtts://, ws:// or wss://')
      .refine(withoutCredentials, CREDENTIALS)
      .default('mqtt://127.0.0.1:1883'),
    username: z.string().optional(),
    /** File that holds the password, so that it is in no config and no process list. */
    passwordFile: z.string().optional(),
    /** PEM file with the certificate authority of the broker. */
    caFile: z.string().optional(),
    keepaliveSeconds: z.int().min(1).max(3600).default(30),
    reconnectSeconds: z.number().min(0.1).max(600).default(2),
  })
  .prefault({});

export type BrokerConfig = z.output<typeof brokerSchema>;

export interface ConnectOptions {
  readonly clientId: string;
  readonly will?: { readonly topic: string; readonly payload: Uint8Array };
  /** Keep the session at the broker while away, so that QoS 1 messages wait for us. */
  readonly persistent?: boolean;
}

/** A client that keeps reconnecting; it does not wait for the first connection. */
export function connectBroker(broker: BrokerConfig, options: ConnectOptions, log: Logger): MqttClient {
  const settings: IClientOptions = {
    clientId: options.clientId,
    clean: options.persistent !== true,
    keepalive: broker.keepaliveSeconds,
    reconnectPeriod: broker.reconnectSeconds * 1000,
    // Aedes speaks MQTT 3.1.1 only.
    protocolVersion: 4,
    resubscribe: false,
  };
  if (options.will) {
    settings.will = { topic: options.will.topic, payload: Buffer.from(options.will.payload), qos: 1, retain: true };
  }
  if (broker.username) settings.username = broker.username;
  if (broker.passwordFile) settings.password = readSecret(broker.passwordFile);
  if (broker.caFile) settings.ca = readSecret(broker.caFile);
  const client = mqtt.connect(broker.url, settings);
  client.on('connect', () => log.info({ broker: broker.url }, 'connected to the broker'));
  client.on('reconnect', () => log.debug({ broker: broker.url }, 'reconnecting to the broker'));
  client.on('close', () => log.debug({ broker: broker.url }, 'connection to the broker closed'));
  client.on('error', (error) => log.warn({ err: error, broker: broker.url }, 'broker connection failed'));
  return client;
}

/** The trimmed text of a file named in the settings; throws ConfigError where it can't be read. */
export function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new ConfigError(`file ${file} can't be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}
