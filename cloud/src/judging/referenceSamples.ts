import { type DataSet, everything, loadRecordings, openData, splitByGroup, type View } from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import type { FineTuneConfig, ReferenceConfig } from './config.js';

/** The cloud's own samples, in two parts that have no recording or writer in common. */
export interface ReferenceSamples {
  /** What it tunes on. */
  readonly tuning: View;
  /** What it judges models on, and never tunes on. */
  readonly guard: View;
}

/**
 * Opens the reference samples; the model may come later, once their shape is known.
 * @throws ConfigError where there are too few, a stream has no recordings, or `fineTune` needs classes and there are none.
 */
export async function openReferenceSamples(
  config: { readonly data: ReferenceConfig; readonly fineTune: FineTuneConfig },
  warn?: (why: string) => void,
): Promise<ReferenceSamples> {
  const { data, samples } = await openAll(config.data, warn);
  const [tuning, guard] = splitByGroup(data, samples, [config.fineTune.share], config.data.seed, 'reference');
  if (!tuning?.length || !guard?.length)
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      `${samples.length} reference samples in ${new Set(samples.map((i) => data.groups[i] as number)).size} groups are too few to tune on some and judge on others`,
    );
  const { distill, features } = config.fineTune;
  // Distillation and shared activations teach classes.
  if (data.classes.length === 0 && (distill.weight > 0 || features.samples > 0))
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      'fineTune.distill and fineTune.features need data with classes; this has none',
    );
  return { tuning: { data, indices: tuning }, guard: { data, indices: guard } };
}

/** Recordings of a stream, or the reference part of a built-in data set. */
async function openAll(
  settings: ReferenceConfig,
  warn?: (why: string) => void,
): Promise<{ data: DataSet; samples: Int32Array }> {
  const { stream, reference } = settings;
  if (!stream) {
    const { data, split } = openData(settings);
    return { data, samples: split.reference };
  }
  if (!reference)
    throw new ConfigError(
      'ECAVG_CONFIG_COMBINATION',
      'data.stream needs data.reference: recordings that the cloud judges models on',
    );
  const windows = await loadRecordings(stream, reference, warn);
  return { data: windows, samples: everything(windows).indices };
}
