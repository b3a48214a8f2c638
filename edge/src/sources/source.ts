// Room sources: where readings come from. One kind of source is one file of kinds/; table.ts has them all by name.
// May import uplink, for the gateway's own broker and login.
import type { RowSink, StreamConfig } from '@ecavg/models';
import { type BrokerConfig, ConfigError, type Logger } from '@ecavg/runtime';
import type { Login } from '../uplink/identity.js';
import type { SettingsSchema } from './typedSettings.js';

/** Why something that was read can't be used. */
export const BAD_INPUT = [
  'not-json',
  'not-a-number',
  'no-time',
  'no-channel',
  'not-sparkplug',
  'lost-message',
  'row',
  'file',
  'transform',
  'other',
] as const;
export type BadInput = (typeof BAD_INPUT)[number];

/** Takes what sources read, in any order. Times are ms since 1970; channels are places in the stream's list, from 0. */
export interface Intake {
  /** @param value in the unit that `data.stream` says. */
  reading(channel: number, at: number, value: number): void;
  /** The sensor says that it has no value from this time on. */
  gone(channel: number, at: number): void;
  /** The class that is in force from this time on; '': none is known. */
  label(at: number, name: string): void;
  /** Something that can't be used: counted, and logged now and then. */
  bad(reason: BadInput, detail: string): void;
}

/** Takes a recording whole: its readings are windows of their own, apart from those of other sources. */
export interface RecordingIntake {
  /**
   * @param name tells recordings apart, also after a restart. @param read gives the rows in the order of their times, the same ones
   * whenever it is called. @returns the number of windows.
   */
  recording(name: string, read: (sink: RowSink) => Promise<void>): Promise<number>;
}

/**
 * Where readings come from. It never throws for what it reads: that ends in readings, or in `bad` of its intake. It loses and finds again
 * whatever it reads from by itself.
 */
export interface Source {
  /** Begins to read. Resolves also where there is nothing to read from yet. */
  start(): Promise<void>;
  /** Ends it: nothing is read, and nothing keeps the process alive, once this resolves. Called once, also where `start` was not. */
  stop(): Promise<void>;
}

/** What a source is made from. */
export interface SourceMeans {
  /** How readings become windows: the channels by name, with their units. */
  readonly stream: StreamConfig;
  readonly intake: Intake;
  readonly recordings: RecordingIntake;
  readonly log: Logger;
  /** Where the source stands in the settings, for errors: `data.sources.0`. */
  readonly field: string;
  /** A file that is this source's own, to remember over a restart what it has read; it is not there at first. */
  readonly stateFile: string;
  /** The gateway's own broker and login, for sources over MQTT that name no other. */
  readonly broker: BrokerConfig;
  readonly login: Login;
  /** For a connection of this source's own to a broker. */
  readonly clientId: string;
  /**
   * Place of a channel. @param where the settings name it, for errors: `channels.temperature`.
   * @throws ConfigError where the stream has no channel of this name.
   */
  channel(name: string, where: string): number;
}

/** A kind of source: what `data.sources` may name as `type`. */
export interface SourceRecord<Settings extends object = object> {
  /** What it is and what its settings are, in Markdown, for the table in docs/gateway.md. */
  readonly about: string;
  /** Its settings without `type`; none: any are taken as they are. */
  readonly schema?: SettingsSchema<Settings>;
  /** Opens nothing yet. @throws ConfigError where the settings don't fit the stream. */
  make(settings: Settings, means: SourceMeans): Source;
  /** Folders and files that it reads, which a service must let it. */
  reads?(settings: Settings): readonly string[];
}

/** Gives a source's record the types of its own settings. */
export const defineSource = <Settings extends object>(record: SourceRecord<Settings>): SourceRecord<Settings> => record;

/** Place of a channel in a stream. @throws ConfigError that names the setting. */
export function channelOf({ channels }: StreamConfig, name: string, field: string): number {
  const channel = channels.findIndex((c) => c.name === name);
  if (channel < 0) {
    const which = field.endsWith(`.${name}`) ? 'such channel' : `channel ${name}`;
    throw new ConfigError(
      'ECAVG_CONFIG_FIELD',
      `${field}: data.stream has no ${which}; it has ${channels.map((c) => c.name).join(', ')}`,
    );
  }
  return channel;
}

/** Places of the channels that `channels` of a source's settings names. @throws ConfigError for a name that the stream lacks. */
export function channelPlaces<T>(
  { channel }: Pick<SourceMeans, 'channel'>,
  channels: Readonly<Record<string, T>>,
): { readonly channel: number; readonly of: T }[] {
  return Object.entries(channels).map(([name, of]) => ({ channel: channel(name, `channels.${name}`), of }));
}
