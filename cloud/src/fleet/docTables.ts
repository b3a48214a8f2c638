import { markdownTable } from '@ecavg/runtime';
import { SELECTIONS } from './selection.js';

/** A table of docs/rounds.md; see scripts/docs.mjs. */
export const docTables = {
  selections: () =>
    markdownTable(
      ['`policy`', 'who is asked', 'source'],
      SELECTIONS.entries.map(([name, { about, source }]) => [`\`${name}\``, about, source]),
    ),
};
