import { markdownTable } from '@ecavg/runtime';
import { TRANSFORMS } from './transforms.js';

/** Tables of docs/ that follow from this room's records: `npm run generate:docs`. */
export const docTables = {
  transforms: () =>
    markdownTable(
      ['transform', 'what'],
      TRANSFORMS.entries.map(([name, { about }]) => [`\`type: ${name}\``, about]),
    ),
};
