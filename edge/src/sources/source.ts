import type { StreamConfig } from '@ecavg/models';
import { type BrokerConfig, ConfigError, connectBroker, type Logger, type MqttClient } from '@ecavg/runtime';
import type { Login } from '../uplink/identity.js';

/** Takes what sources read. Times are ms since 1970; channels are places in the stream's list. */
export interface Intake {
  reading(channel: number, at: number, value: number): void;
  /** The sensor says that it has no value. */
  gone(channel: number, at: number): void;
  label(at: number, name: string): void;
  /** Something that can't be used: counted, and logged now and then. */
  bad(reason: BadInput, detail: string): void;
}

export type BadInput = 'not-json' | 'not-a-number' | 'no-time' | 'not-sparkplug' | 'lost-message' | 'row' | 'file';

/** Where readings come from; it reconnects and goes on by itself. */
export interface Source {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** What every source is made from. */
export interface SourceMeans {
  readonly stream: StreamConfig;
  readonly intake: Intake;
  readonly log: Logger;
}

/** What sources over MQTT need besides. */
export interface MqttMeans extends SourceMeans {
  /** The gateway's own broker and login, for sources that name no other. */
  readonly broker: BrokerConfig;
  readonly login: Login;
  readonly clientId: string;
}

/** Places of the channels that a source names. Throws ConfigError for a name that the stream lacks. */
export function channelPlaces<T>(
  stream: StreamConfig,
  channels: Readonly<Record<string, T>>,
  field: string,
): { readonly channel: number; readonly of: T }[] {
  return Object.entries(channels).map(([name, of]) => {
    const channel = stream.channels.findIndex((c) => c.name === name);
    if (channel < 0)
      throw new ConfigError(
        `${field}.${name}: data.stream has no such channel; it has ${stream.channels.map((c) => c.name).join(', ')}`,
      );
    return { channel, of };
  });
}

/** A connection that subscribes anew whenever it is made, and keeps its session, so that readings wait for a gateway that restarts. */
export function subscribeSource(
  { broker, login, clientId, log }: MqttMeans,
  own: BrokerConfig | undefined,
  topics: string[],
  take: (topic: string, payload: Buffer) => void,
): MqttClient {
  const client = connectBroker(own ?? broker, { clientId, persistent: true, ...(own ? {} : login) }, log);
  client.on('message', take);
  client.on('connect', () => {
    client.subscribe(topics, { qos: 1 }, (error, granted) => {
      const refused = granted?.filter((g) => g.qos >= 128).map((g) => g.topic) ?? [];
      if (error || refused.length > 0)
        log.error({ err: error ?? undefined, topics: refused }, 'the source could not subscribe');
    });
  });
  return client;
}
