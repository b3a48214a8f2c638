import type { EXTENSION_FORMAT } from '@ecavg/runtime';
import type { Combiner } from './combiner.js';
import type { Weighting } from './weighting.js';

/**
 * What a module exports as `extension` to add to the cloud; settings name the module under `extensions` (docs/extensions.md). Names are of small
 * letters, digits and dashes, and new ones.
 */
export interface CloudExtension {
  /** Version of this contract. */
  readonly format: typeof EXTENSION_FORMAT;
  readonly combiners?: Readonly<Record<string, Combiner>>;
  readonly weightings?: Readonly<Record<string, Weighting>>;
}
