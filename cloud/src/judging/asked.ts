import type { Artifact, DataSet } from '@ecavg/models';
import type { Manifest } from '@ecavg/protocol';
import type { Asked } from '../inbox/shares.js';
import type { FineTuneConfig } from './config.js';
import type { HeadTuner } from './headTuner.js';

/** What sites that opt in are asked for. */
export interface AskedOfSites {
  /** What is asked for, a row for each kind, as the inbox checks a share that comes. */
  readonly rows: readonly Asked[];
  /** The same as manifests say it; undefined where nothing is asked for. */
  readonly published: Manifest['share'];
}

export function askedOfSites(
  { samples, features }: FineTuneConfig,
  artifact: Artifact,
  headTuner: HeadTuner | undefined,
): AskedOfSites {
  const rows: Asked[] = [];
  if (samples > 0) rows.push({ kind: 'samples', shape: artifact.info.input.shape.slice(1), count: samples });
  if (headTuner) {
    const { layer, shape } = headTuner;
    rows.push({ kind: 'features', shape, count: features.samples, layer });
  }
  if (rows.length === 0) return { rows, published: undefined };
  const published = {
    ...(samples > 0 && { samples }),
    ...(headTuner && { features: { layer: headTuner.layer, samples: features.samples } }),
  };
  return { rows, published };
}

/** The classes that shared samples may have; unlabelled samples count as one class. */
export const sharedClasses = ({ classes }: DataSet): readonly string[] =>
  classes.length > 0 ? classes : ['unlabelled'];
