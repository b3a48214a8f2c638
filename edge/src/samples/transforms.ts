import { createHash } from 'node:crypto';
import type { StreamConfig } from '@ecavg/models';
import { CodedError } from '@ecavg/protocol/errors';
import { ConfigError, RecordTable } from '@ecavg/runtime';
import { channelOf } from '../sources/source.js';
import { recordShape, tryTo } from '../sources/table.js';
import { type TypedSettings, typedSettings } from '../sources/typedSettings.js';
import { scale } from './scale.js';
import type { Reading, Transform, TransformRecord } from './transform.js';

/** All transforms by their `type`: those of this release, and what extensions add. */
export const TRANSFORMS = new RecordTable<TransformRecord>('transform', { scale }, recordShape);

/** One of `data.transforms`. */
export const transformSchema = typedSettings(TRANSFORMS);

/** Names transforms, as what is kept of their readings depends on them; '': none. */
export const transformsDigest = (settings: readonly TypedSettings[]): string =>
  settings.length === 0 ? '' : createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);

export type Take = (channel: number, at: number, value: number) => void;

/** The steps of `data.transforms`, one after the other, for readings of one origin. */
export class TransformChain {
  readonly #steps: readonly { readonly name: string; readonly transform: Transform }[];

  /**
   * @param bad what a transform gives that is no reading.
   * @throws ConfigError where a transform can't be made.
   */
  constructor(
    settings: readonly TypedSettings[],
    private readonly stream: StreamConfig,
    private readonly bad: (detail: string) => void,
    table: Pick<RecordTable<TransformRecord>, 'get'> = TRANSFORMS,
  ) {
    this.#steps = settings.map(({ type, ...own }, i) => {
      const field = `data.transforms.${i}`;
      const channel = (name: string, where: string): number => channelOf(stream, name, `${field}.${where}`);
      const name = `${field} (${type})`;
      const transform = tryTo(name, () => table.get(type).make(own, { stream, field, channel }));
      if (typeof transform?.reading !== 'function')
        throw new ConfigError('ECAVG_EXTENSION_SHAPE', `${field}: what transform ${type} makes has no reading`);
      return { name, transform };
    });
  }

  /** Puts a reading through all steps and gives `take` what comes out. */
  reading({ channel, at, value }: Reading, take: Take): void {
    // What is no number stays none; it is counted where windows are cut.
    if (Number.isFinite(value)) this.#from(0, { channel, at, value }, take);
    else take(channel, at, value);
  }

  gone(channel: number, at: number): void {
    for (const { name, transform } of this.#steps) {
      try {
        transform.gone?.(channel, at);
      } catch (error) {
        this.bad(`${name}: ${textOf(error)}`);
      }
    }
  }

  #from(number: number, reading: Reading, take: Take): void {
    const { channel, at, value } = reading;
    const step = this.#steps[number];
    if (!step) return take(channel, at, value);
    let made: readonly Reading[];
    try {
      made = this.#readings(step.transform.reading(channel, at, value), reading);
    } catch (error) {
      return this.bad(`${step.name}: ${textOf(error)}`);
    }
    for (const next of made) this.#from(number + 1, next, take);
  }

  /**
   * What a transform gave for a reading, copied: it may be anything.
   * @throws Error where it is no reading.
   */
  #readings(made: unknown, { channel, at }: Reading): Reading[] {
    if (made === undefined) return [];
    // A promise that nobody waits for would end the process where it fails.
    if (made instanceof Promise) made.catch(() => undefined);
    const list = Array.isArray(made) ? (made as unknown[]) : [{ channel, at, value: made }];
    return list.map((one) => {
      const next = { ...(one as Reading) };
      const known = Number.isInteger(next.channel) && this.stream.channels[next.channel] !== undefined;
      if (known && Number.isFinite(next.at) && Number.isFinite(next.value)) return next;
      throw new CodedError(
        'ECAVG_EXTENSION_SHAPE',
        `gave ${shown(made)} for a reading of ${this.stream.channels[channel]?.name}`,
      );
    });
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : 'it threw what is no Error');

function shown(made: unknown): string {
  if (made instanceof Promise) return 'a promise';
  if (typeof made === 'number') return String(made);
  try {
    return (JSON.stringify(made) ?? typeof made).slice(0, 80);
  } catch {
    return typeof made;
  }
}
