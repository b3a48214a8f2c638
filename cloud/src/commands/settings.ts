import { ConfigError, loadConfig } from '@ecavg/runtime';
import { type CloudFile, cloudFileSchema } from '../cloudFile.js';
import type { CloudFlags } from './subcommand.js';

/** Throws ConfigError for the file of a regional aggregator, which has no versions of its own. */
export async function readCloudFile({ config }: CloudFlags): Promise<CloudFile> {
  const file = await loadConfig(cloudFileSchema, {
    file: config,
    env: { prefix: 'ECAVG_CLOUD_', variables: process.env },
  });
  if (file.role === 'regional')
    throw new ConfigError('this is for the cloud; the settings are those of a regional aggregator');
  return file;
}

/** The model that is meant; where the cloud has several, it must be named. */
export function modelOf<M extends { readonly fleet: string; readonly model: { readonly id: string } }>(
  models: readonly M[],
  { fleet, model }: { readonly fleet?: string; readonly model?: string },
): M {
  const fits = models.filter((m) => (fleet ?? m.fleet) === m.fleet && (model ?? m.model.id) === m.model.id);
  const [found] = fits;
  if (found && fits.length === 1) return found;
  const names = models.map((m) => `--fleet ${m.fleet} --model ${m.model.id}`).join('\n  ');
  throw new ConfigError(`say which model is meant, one of:\n  ${names}`);
}
