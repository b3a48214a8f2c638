import { markdownTable, type OptionSpecs, optionText } from '@ecavg/runtime';
import { COMBINERS } from './combiners.js';
import { SERVER_OPTIMIZERS } from './serverOptimizer.js';
import { WEIGHTINGS } from './weightings.js';

const texts = (options: OptionSpecs): string =>
  Object.entries(options)
    .map(([name, spec]) => optionText(name, spec))
    .join(', ');

const KINDS = {
  streaming: 'one',
  'weighted-sum': 'all, side by side',
  coordinates: 'all, side by side',
} as const;

/** Tables of docs/strategies.md; see scripts/docs.mjs. */
export const docTables = {
  weightings: () =>
    markdownTable(
      ['`weighting`', 'p_k, factor or scale', 'settings (default; bounds)', 'source'],
      WEIGHTINGS.entries.map(([name, { about, options, source }]) => [`\`${name}\``, about, texts(options), source]),
    ),
  combiners: () =>
    markdownTable(
      ['`combiner`', 'result', 'updates it looks at', 'settings (default; bounds)', 'source'],
      COMBINERS.entries.map(([name, { about, kind, options, source }]) => [
        `\`${name}\``,
        about,
        KINDS[kind],
        texts(options),
        source,
      ]),
    ),
  'server-optimisers': () =>
    markdownTable(
      ['`server.name`', "w'", 'settings (default; bounds)', 'source'],
      SERVER_OPTIMIZERS.entries.map(([name, { about, options, source }]) => [
        `\`${name}\``,
        about,
        texts(options),
        source,
      ]),
    ),
};
