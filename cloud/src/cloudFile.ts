import { join } from 'node:path';
import { ConfigError, checkDataFolder, type ExtensionTables, loadConfig } from '@ecavg/runtime';
import { z } from 'zod';
import { COMBINERS } from './aggregation/combiners.js';
import { WEIGHTINGS } from './aggregation/weightings.js';
import { type CloudConfig, cloudConfigSchema } from './config.js';
import { type RegionalConfig, regionalConfigSchema } from './regional/config.js';

type Tree = Record<string, unknown>;

/** What is one for the whole process, and can't be set for a single model. */
const COMMON = ['dataDir', 'broker', 'log', 'http', 'telemetry', 'enrolment', 'extensions'] as const;

/** What extensions of a cloud may add to. */
export const CLOUD_TABLES = { combiners: COMBINERS, weightings: WEIGHTINGS } satisfies ExtensionTables;

/** A cloud's settings: those of the process, and complete ones for each model. */
export type CloudFile = Pick<CloudConfig, (typeof COMMON)[number]> & {
  readonly role: 'central';
  readonly models: readonly [CloudConfig, ...CloudConfig[]];
};

const isTree = (v: unknown): v is Tree => typeof v === 'object' && v !== null && !Array.isArray(v);

function merged(base: Tree, over: Tree): Tree {
  const out = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const known = out[key];
    out[key] = isTree(known) && isTree(value) ? merged(known, value) : value;
  }
  return out;
}

/**
 * The settings of `ecavg cloud`: those of one model at the top level or, under `models`, of several. Each of these takes what it does not set
 * from the top level. Another fleet than the top level's has its data under `fleets/{fleet}`.
 */
const centralFileSchema = z
  .looseObject({
    role: z.literal('central').default('central'),
    models: z.array(z.record(z.string(), z.unknown())).min(1).optional(),
  })
  .transform(({ role, models, ...top }, context): CloudFile => {
    const issue = (message: string, path: readonly PropertyKey[], input: unknown): void =>
      void context.addIssue({ code: 'custom', message, path: [...path], input });
    const all: CloudConfig[] = [];
    for (const [i, entry] of (models ?? [{}]).entries()) {
      const at = models ? ['models', i] : [];
      for (const field of COMMON) {
        if (models && field in entry)
          issue('is one for the whole process: set it at the top level', [...at, field], entry);
      }
      const result = cloudConfigSchema.safeParse(merged(top, entry));
      if (result.success) all.push(result.data);
      for (const { message, path, ...rest } of result.error?.issues ?? []) {
        // What the entry does not say itself comes from the top level.
        const own = models && path[0] !== undefined && path[0] in entry;
        const where = own ? [...at, ...path] : path;
        if (rest.code === 'unrecognized_keys') context.addIssue({ ...rest, message, path: [...where], input: entry });
        else issue(own || !models ? message : `${message} (of models.${i})`, where, entry);
      }
    }
    const [first] = all;
    if (!first || all.length < (models ?? [{}]).length) return z.NEVER;
    const seen = new Set<string>();
    const placed = all.map((config, i) => {
      const name = `${config.fleet}/${config.model.id}`;
      if (seen.has(name)) issue(`there are two models ${name}: give each its own model.id`, ['models', i], name);
      seen.add(name);
      const home = typeof top.fleet === 'string' ? top.fleet : first.fleet;
      return config.fleet === home ? config : { ...config, dataDir: join(config.dataDir, 'fleets', config.fleet) };
    });
    const { dataDir, broker, log, http, telemetry, enrolment, extensions } = first;
    return {
      role,
      dataDir,
      broker,
      log,
      http,
      telemetry,
      enrolment,
      extensions,
      models: placed as [CloudConfig, ...CloudConfig[]],
    };
  });

/** The settings of `ecavg cloud` in either role. */
export const cloudFileSchema = z.unknown().transform((tree, context): CloudFile | RegionalConfig => {
  const regional = isTree(tree) && tree.role === 'regional';
  const result = (regional ? regionalConfigSchema : centralFileSchema).safeParse(tree);
  if (result.success) return result.data as CloudFile | RegionalConfig;
  for (const issue of result.error.issues) context.addIssue(issue as never);
  return z.NEVER;
});

/**
 * The settings of a cloud, for commands beside it.
 * @throws ConfigError, also for those of a regional aggregator, which has no versions of its own, and for a data folder of a later release.
 */
export async function readCloudFile({ config }: { readonly config?: string }): Promise<CloudFile> {
  const file = await loadConfig(cloudFileSchema, {
    file: config,
    env: { prefix: 'ECAVG_CLOUD_', variables: process.env },
    extensions: CLOUD_TABLES,
  });
  if (file.role === 'regional')
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      'this is for the cloud; the settings are those of a regional aggregator',
    );
  await checkDataFolder(file.dataDir, 'cloud');
  return file;
}
