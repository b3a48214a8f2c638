import { markdownTable } from '@ecavg/runtime';
import { ADOPTION } from './adoption.js';

/** Tables of docs/ that follow from this room's records: `npm run generate:docs`. */
export const docTables = {
  'adoption-policies': () =>
    markdownTable(
      ['`adopt.policy`', 'a gateway that gets a version'],
      ADOPTION.entries.map(([name, { about }]) => [`\`${name}\``, about]),
    ),
};
