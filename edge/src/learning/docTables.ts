import { markdownTable } from '@ecavg/runtime';
import { TRANSFORMS } from '../samples/transforms.js';
import { SOURCES } from '../sources/table.js';
import { ADOPTION } from './adoption.js';

interface Named {
  readonly entries: [name: string, record: { readonly about: string }][];
}

const typed = (head: string, { entries }: Named): string =>
  markdownTable(
    [head, 'what'],
    entries.map(([name, { about }]) => [`\`type: ${name}\``, about]),
  );

/** Tables of docs/ that follow from this package's records: `npm run generate:docs`. */
export const docTables = {
  sources: () => typed('source', SOURCES),
  transforms: () => typed('transform', TRANSFORMS),
  'adoption-policies': () =>
    markdownTable(
      ['`adopt.policy`', 'a gateway that gets a version'],
      ADOPTION.entries.map(([name, { about }]) => [`\`${name}\``, about]),
    ),
};
