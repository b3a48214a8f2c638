import { ConfigError, RecordTable } from '@ecavg/runtime';
import { z } from 'zod';
import { KINDS } from './gen/kinds.js';
import { channelOf, type Source, type SourceMeans, type SourceRecord } from './source.js';
import { type TypedSettings, typedSettings } from './typedSettings.js';

const isFunction = z.custom<() => unknown>((v) => typeof v === 'function', 'expected a function');

/** What the record of an extension must be, whatever it makes: a source or a transform. */
export const recordShape = z.looseObject({
  about: z.string().min(1),
  schema: z.looseObject({ parse: isFunction }).optional(),
  make: isFunction,
});

/** What the record of an extension's source must be. */
export const sourceRecordShape = recordShape.extend({ reads: isFunction.optional() });

/** All sources by their `type`: those of kinds/, and what extensions add. */
export const SOURCES = new RecordTable<SourceRecord>('source', KINDS, sourceRecordShape);

/** One of `data.sources`. */
export const sourceSchema = typedSettings(SOURCES);

/** Makes the source that settings name. @throws ConfigError where it can't be made. */
export function makeSource(
  { type, ...settings }: TypedSettings,
  means: Omit<SourceMeans, 'channel'>,
  table: Pick<RecordTable<SourceRecord>, 'get'> = SOURCES,
): Source {
  const { field, stream } = means;
  const channel = (name: string, where: string): number => channelOf(stream, name, `${field}.${where}`);
  const made = tryTo(`${field} (${type})`, () => table.get(type).make(settings, { ...means, channel }));
  for (const method of ['start', 'stop'] as const)
    if (typeof made?.[method] !== 'function')
      throw new ConfigError('ECAVG_EXTENSION_SHAPE', `${field}: what source ${type} makes has no ${method}`);
  return made;
}

/** Runs a step of an extension's record before a gateway starts. @throws ConfigError with the record's name. */
export function tryTo<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(
      'ECAVG_EXTENSION_SHAPE',
      `${what} can't be made: ${cause instanceof Error ? cause.message : 'it threw what is no Error'}`,
      {
        cause,
      },
    );
  }
}

/** Folders and files that these sources read. */
export const readBy = (sources: readonly TypedSettings[]): string[] =>
  sources.flatMap(({ type, ...settings }) => [...(SOURCES.get(type).reads?.(settings) ?? [])]);
