import type { RecordTable } from '@ecavg/runtime';
import { z } from 'zod';

/**
 * Checks what settings say for one record. A Zod schema is one; without Zod, any object whose `parse` gives the settings that hold,
 * defaults included, and throws an Error whose message says in one sentence what is wrong.
 */
export interface SettingsSchema<Settings extends object> {
  parse(given: unknown): Settings;
}

/** Settings that name a record: its name as `type`, and what the record's own schema made of the other fields. */
export type TypedSettings = { readonly type: string } & Readonly<Record<string, unknown>>;

interface Checked {
  readonly schema?: SettingsSchema<object>;
}

/** Settings of the records of a table. Looked up when they are parsed, so that records which came meanwhile count. */
export function typedSettings(table: RecordTable<Checked>): z.ZodType<TypedSettings> {
  return z.looseObject({}).transform((given: Record<string, unknown>, context): TypedSettings => {
    const { type, ...fields } = given;
    if (typeof type !== 'string' || !table.names.includes(type)) {
      const wrong = type === undefined ? `say which ${table.kind}` : `there is no such ${table.kind}`;
      context.addIssue({ code: 'custom', path: ['type'], message: `${wrong}; there are ${table.names.join(', ')}` });
      return z.NEVER;
    }
    const { schema } = table.get(type);
    try {
      const settings = schema ? schema.parse(fields) : fields;
      if (typeof settings === 'object' && settings !== null) return { type, ...settings };
      context.addIssue({ code: 'custom', message: `the schema of ${table.kind} ${type} gives no settings` });
    } catch (error) {
      for (const issue of issuesOf(error)) context.addIssue(issue);
    }
    return z.NEVER;
  });
}

type Issue = Parameters<z.core.$RefinementCtx['addIssue']>[0] & object;

/** Schemas that know several faults with their places tell them so: Zod's own, of whatever copy of Zod. */
function issuesOf(error: unknown): Issue[] {
  const issues = (error as { issues?: unknown } | null)?.issues;
  if (!Array.isArray(issues) || issues.length === 0)
    return [{ code: 'custom', message: error instanceof Error ? error.message : 'its schema threw what is no Error' }];
  return issues.map((issue: Partial<z.core.$ZodIssue>): Issue => {
    const path = (Array.isArray(issue.path) ? issue.path : []).filter((p) => typeof p !== 'object');
    const message = String(issue.message);
    if (issue.code === 'unrecognized_keys') return { code: issue.code, keys: issue.keys ?? [], path, message };
    return { code: 'custom', path, message };
  });
}
