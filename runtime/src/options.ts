import { ArgumentError } from '@ecavg/protocol/errors';
import { z } from 'zod';

/** Settings of a record's own, said without a schema library, so that a plain `.mjs` can say them. */
export interface NumberOption {
  /** What it is, for docs. */
  readonly about: string;
  readonly default: number;
  /** Bounds: least <= value <= most, above < value < below. */
  readonly least?: number;
  readonly most?: number;
  readonly above?: number;
  readonly below?: number;
  /** Whether it must be a whole number. */
  readonly whole?: boolean;
}

export interface FlagOption {
  readonly about: string;
  readonly default: boolean;
}

export interface TextOption {
  readonly about: string;
  readonly default: string;
  /** The only ones that it may be. */
  readonly oneOf?: readonly string[];
}

export type OptionSpec = NumberOption | FlagOption | TextOption;
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type Widened<T> = T extends number ? number : T extends boolean ? boolean : string;

/** The values that fit such options. */
export type OptionValues<S extends OptionSpecs = OptionSpecs> = { readonly [K in keyof S]: Widened<S[K]['default']> };

function numbers({ least, most, above, below, whole }: Omit<NumberOption, 'default'>): z.ZodNumber {
  let schema: z.ZodNumber = whole ? z.int() : z.number();
  if (least !== undefined) schema = schema.min(least);
  if (most !== undefined) schema = schema.max(most);
  if (above !== undefined) schema = schema.gt(above);
  if (below !== undefined) schema = schema.lt(below);
  return schema;
}

/** The field of a settings schema for one option; what is not set is the default. */
function field(spec: OptionSpec): z.ZodType {
  if (typeof spec.default === 'number') return numbers(spec as NumberOption).default(spec.default);
  if (typeof spec.default === 'boolean') return z.boolean().default(spec.default);
  const { oneOf } = spec as TextOption;
  return (oneOf ? z.enum(oneOf) : z.string()).default(spec.default);
}

type Field<V> = z.ZodDefault<z.ZodType<V, V>>;

/** The fields of a settings schema for options, each by its name. */
export function optionFields<S extends OptionSpecs>(specs: S): { [K in keyof S]: Field<OptionValues<S>[K]> } {
  const fields = Object.entries(specs).map(([name, spec]) => [name, field(spec)]);
  return Object.fromEntries(fields) as { [K in keyof S]: Field<OptionValues<S>[K]> };
}

/**
 * A schema for options that are known only when settings are parsed, as extensions may add to them: what is set is checked, what is not set is the
 * default, or stays unset.
 */
export function optionsSchema(
  specs: () => OptionSpecs,
  unset: 'default' | 'unset' = 'default',
): z.ZodType<OptionValues, Readonly<Record<string, unknown>>> {
  return z.custom<Readonly<Record<string, unknown>>>().transform((given, context) => {
    const fields = Object.entries(optionFields(specs()));
    const shape = unset === 'default' ? fields : fields.map(([name, one]) => [name, one.unwrap().optional()]);
    const result = z.strictObject(Object.fromEntries(shape)).safeParse(given);
    if (result.success) return result.data as OptionValues;
    for (const issue of result.error.issues) context.addIssue(issue as never);
    return z.NEVER;
  });
}

/** Refuses records of extensions with an option that another record of their table has, as settings give all of them in one place. */
export function ownOptions<S extends z.ZodType<{ readonly options: object }>>(schema: S, taken: () => OptionSpecs): S {
  return schema.superRefine(({ options }, context) => {
    const names = Object.keys(taken());
    for (const name of Object.keys(options).filter((o) => names.includes(o)))
      context.addIssue({ code: 'custom', path: ['options', name], message: 'another one has an option of that name' });
  });
}

type Both<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never;

/**
 * The options of several records together.
 * @throws RangeError where two have different ones of one name.
 */
export function mergedOptions<R extends { readonly options: OptionSpecs }>(
  records: Readonly<Record<string, R>>,
): Both<R['options']> {
  const all: Record<string, OptionSpec> = {};
  for (const { options } of Object.values<R>(records)) {
    for (const [name, spec] of Object.entries(options)) {
      if (all[name] && all[name] !== spec)
        throw new ArgumentError('ECAVG_PROGRAM', `two records have an option ${name}`);
      all[name] = spec;
    }
  }
  return all as Both<R['options']>;
}

/** The values of options where nothing is set. */
export function optionDefaults<S extends OptionSpecs>(specs: S): OptionValues<S> {
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, spec.default])) as OptionValues<S>;
}

/** An option as docs have it: `trim` (0.2; from 0 to below 0.5). */
export function optionText(name: string, spec: OptionSpec): string {
  const { least, most, above, below, oneOf } = spec as Partial<NumberOption & TextOption>;
  const from = least !== undefined ? `from ${least}` : above !== undefined ? `above ${above}` : '';
  const to = most !== undefined ? `to ${most}` : below !== undefined ? `to below ${below}` : '';
  const bounds = oneOf ? oneOf.join(', ') : [from, to].filter(Boolean).join(' ');
  return `\`${name}\` (${[String(spec.default), bounds].filter(Boolean).join('; ')})`;
}

const about = z.string().min(1);
const specSchema = z
  .union(
    [
      z.strictObject({
        about,
        default: z.number(),
        least: z.number().optional(),
        most: z.number().optional(),
        above: z.number().optional(),
        below: z.number().optional(),
        whole: z.boolean().optional(),
      }),
      z.strictObject({ about, default: z.boolean() }),
      z.strictObject({ about, default: z.string(), oneOf: z.array(z.string()).min(1).optional() }),
    ],
    {
      error:
        'wants { about, default } of a number (least, most, above, below, whole), true or false, or a text (oneOf)',
    },
  )
  .refine(
    (spec) => field(spec as OptionSpec).safeParse(spec.default).success,
    'the default is not within its own bounds',
  );

/** What options of an extension's record must be. */
export const optionSpecsSchema = z.record(
  z.string().regex(/^[a-z][a-zA-Z0-9]*$/, 'use small and capital letters and digits, as in halfLife'),
  specSchema,
);
