import { markdownTable } from '@ecavg/runtime';
import { SOURCES } from './table.js';

/** Tables of docs/ that follow from this room's records: `npm run generate:docs`. */
export const docTables = {
  sources: () =>
    markdownTable(
      ['source', 'what'],
      SOURCES.entries.map(([name, { about }]) => [`\`type: ${name}\``, about]),
    ),
};
