import { markdownTable } from '@ecavg/protocol/markdown';
import { LOSS_RECORDS } from './losses/table.js';
import type { Ops } from './ops/record.js';
import { FAMILIES } from './ops/table.js';
import { OPTIMIZER_RECORDS } from './optimizers/table.js';

const opsOf = (family: Ops): string =>
  Object.entries(family)
    .map(([op, { forms }]) => (forms ? `${op} (${forms})` : op))
    .join(', ');

const named = (head: string, records: Readonly<Record<string, { readonly about: string }>>): string =>
  markdownTable(
    [head, 'what'],
    Object.entries(records).map(([name, { about }]) => [`\`${name}\``, about]),
  );

/** Tables of docs/training.md that follow from the records of ops, losses and optimisers: `npm run generate:docs`. */
export const docTables = {
  ops: () =>
    markdownTable(
      ['family', 'ops with a gradient'],
      Object.entries(FAMILIES).map(([family, ops]) => [family, opsOf(ops)]),
    ),
  losses: () => named('loss', LOSS_RECORDS),
  optimisers: () => named('optimiser', OPTIMIZER_RECORDS),
};
