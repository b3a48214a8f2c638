import type { StreamConfig } from '@ecavg/models';
import type { SettingsSchema } from '../sources/typedSettings.js';

/** One value of one sensor. */
export interface Reading {
  /** Place in the stream's list of channels, from 0. */
  readonly channel: number;
  /** Ms since 1970. */
  readonly at: number;
  readonly value: number;
}

/**
 * A step that this gateway's readings take before they become windows. What it throws, or gives back in another shape, is counted and
 * costs that reading.
 */
export interface Transform {
  /**
   * @param value finite. @returns the value in its place; undefined: the reading is left out; a list: these readings in its place, in
   * the order of their times.
   */
  reading(channel: number, at: number, value: number): number | undefined | readonly Reading[];
  /** The sensor has no value from this time on: what is remembered of its readings is over. */
  gone?(channel: number, at: number): void;
}

/** What a transform is made from. */
export interface TransformMeans {
  /** How readings become windows: the channels by name, with their units. */
  readonly stream: StreamConfig;
  /** Where the transform stands in the settings, for errors: `data.transforms.0`. */
  readonly field: string;
  /**
   * Place of a channel. @param where the settings name it, for errors: `channels.temperature`.
   * @throws ConfigError where the stream has no channel of this name.
   */
  channel(name: string, where: string): number;
}

/** A kind of transform: what `data.transforms` may name as `type`. */
export interface TransformRecord<Settings extends object = object> {
  /** What it does and what its settings are, in Markdown, for the table in docs/gateway.md. */
  readonly about: string;
  /** Its settings without `type`; none: any are taken as they are. */
  readonly schema?: SettingsSchema<Settings>;
  /**
   * Made once for what comes live, and anew for each recording: the same readings give the same ones whenever they are read.
   * @throws ConfigError where the settings don't fit the stream.
   */
  make(settings: Settings, means: TransformMeans): Transform;
}

/** Gives a transform's record the types of its own settings. */
export const defineTransform = <Settings extends object>(
  record: TransformRecord<Settings>,
): TransformRecord<Settings> => record;
