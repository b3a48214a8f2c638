import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { ErrorCode } from '@ecavg/protocol/errors';
import type { connect, IClientOptions, MqttClient } from 'mqtt';
import { z } from 'zod';
import { CREDENTIALS, withoutCredentials } from './config.js';
import { ConfigError } from './errors.js';
import type { Logger } from './logger.js';

export type { MqttClient };

const require = createRequire(import.meta.url);

/** Loaded at the first connection: it is the largest part of this package, and commands that only read settings do without. */
const mqtt = (): { connect: typeof connect } => require('mqtt');

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
    /** File with a one-time token of `ecavg broker user token`; the gateway makes its own password and keeps it in dataDir. */
    enrolTokenFile: z.string().optional(),
    /** PEM file with the certificate authority of the broker. */
    caFile: z.string().optional(),
    /** PEM files of a client certificate and its key. */
    certFile: z.string().optional(),
    keyFile: z.string().optional(),
    keepaliveSeconds: z.int().min(1).max(3600).default(30),
    /** auto: MQTT 5 where the broker speaks it, 3.1.1 otherwise. */
    protocol: z.enum(['auto', '3.1.1', '5']).default('auto'),
    transfer: z
      .strictObject({
        /** Of a model or an update in one message; the envelope comes on top. */
        chunkBytes: z.int().min(1024).max(49_152).default(49_152),
        /** Without the broker's acknowledgement. The defaults pass under the limits of the large brokers and services. */
        inFlightBytes: z.int().min(1024).default(65_536),
        inFlightMessages: z.int().min(1).max(65_535).default(10),
      })
      .prefault({}),
    reconnectSeconds: z.number().min(0.1).max(600).default(2),
  })
  .prefault({});

/** How long a broker keeps the session of a node that is away. */
const SESSION_SECONDS = 7 * 24 * 3600;

export type BrokerConfig = z.output<typeof brokerSchema>;

export interface ConnectOptions {
  readonly clientId: string;
  /** In place of those of the settings. */
  readonly username?: string;
  readonly password?: string;
  readonly will?: { readonly topic: string; readonly payload: Uint8Array };
  /** Keep the session at the broker while away, so that QoS 1 messages wait for us. */
  readonly persistent?: boolean;
  /** Wait for `connect()`: who listens has to be there before the first message. */
  readonly manual?: boolean;
}

/** A client that keeps reconnecting; it does not wait for the first connection. */
export function connectBroker(broker: BrokerConfig, options: ConnectOptions, log: Logger): MqttClient {
  const settings: IClientOptions = {
    clientId: options.clientId,
    clean: options.persistent !== true,
    keepalive: broker.keepaliveSeconds,
    reconnectPeriod: broker.reconnectSeconds * 1000,
    protocolVersion: broker.protocol === '3.1.1' ? 4 : 5,
    // Otherwise a refused connection, over a password that is being changed, say, would be the last one.
    reconnectOnConnackError: true,
    resubscribe: false,
    manualConnect: options.manual === true,
  };
  // In MQTT 5 a session ends with its connection unless it says for how long it may wait.
  if (options.persistent && settings.protocolVersion === 5)
    settings.properties = { sessionExpiryInterval: SESSION_SECONDS };
  if (options.will) {
    settings.will = { topic: options.will.topic, payload: Buffer.from(options.will.payload), qos: 1, retain: true };
  }
  const username = broker.username ?? options.username;
  if (username) settings.username = username;
  if (broker.passwordFile) settings.password = readSecret(broker.passwordFile);
  else if (options.password !== undefined) settings.password = options.password;
  if (broker.certFile) settings.cert = readSecret(broker.certFile);
  if (broker.keyFile) settings.key = readSecret(broker.keyFile);
  if (broker.caFile) settings.ca = readSecret(broker.caFile);
  const client = mqtt().connect(broker.url, settings);
  if (broker.protocol === 'auto') fallBack(client);
  client.on('connect', () => {
    sendAtOnce(client);
    log.info({ broker: broker.url }, 'connected to the broker');
  });
  client.on('reconnect', () => log.debug({ broker: broker.url }, 'reconnecting to the broker'));
  client.on('close', () => {
    // A broker that comes back is not to meet all its clients at the same moment.
    client.options.reconnectPeriod = broker.reconnectSeconds * 1000 * (0.5 + Math.random());
    log.debug({ broker: broker.url }, 'connection to the broker closed');
  });
  client.on('error', (error) => {
    if (!isVersionRefusal(error))
      log.warn({ code: codeOfConnection(error), err: error, broker: broker.url }, 'broker connection failed');
    else if (broker.protocol !== 'auto')
      log.warn({ broker: broker.url }, `the broker refuses MQTT ${broker.protocol}: set broker.protocol to auto`);
  });
  return client;
}

/** Small messages go at once: with Nagle's algorithm they wait 40 ms for the acknowledgement of the one before. For a client that is connected. */
export function sendAtOnce({ stream }: MqttClient): void {
  if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true);
}

/** CONNACK: bad user name or password, and not authorised, in MQTT 3.1.1 and in MQTT 5. */
const ACCESS_REFUSED = [4, 5, 134, 135];

function codeOfConnection(error: Error): ErrorCode {
  return 'code' in error && ACCESS_REFUSED.includes(Number(error.code)) ? 'ECAVG_BROKER_ACCESS' : 'ECAVG_CONNECTION';
}

/** CONNACK: unacceptable protocol version, in MQTT 3.1.1 and in MQTT 5. */
const VERSION_REFUSED = [1, 132];

function isVersionRefusal(error: Error): boolean {
  return 'code' in error && VERSION_REFUSED.includes(Number(error.code));
}

/** Goes on with MQTT 3.1.1, at once, where the broker does not speak MQTT 5 (Aedes does not). */
function fallBack(client: MqttClient): void {
  let refused = false;
  client.on('error', (error) => {
    if (client.options.protocolVersion !== 5 || !isVersionRefusal(error)) return;
    client.options.protocolVersion = 4;
    delete client.options.properties;
    refused = true;
  });
  client.on('close', () => {
    if (!refused) return;
    refused = false;
    client.reconnect();
  });
}

/** The trimmed text of a file named in the settings; throws ConfigError where it can't be read. */
export function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new ConfigError(
      'ECAVG_SECRET_FILE',
      `file ${file} can't be read (${(cause as NodeJS.ErrnoException).code})`,
      { cause },
    );
  }
}
