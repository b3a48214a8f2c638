import { GENERAL_ERRORS, refusalCode } from './errorTable.js';
import { markdownTable } from './markdown.js';
import { type ErrorEntry, REFUSALS } from './refusals.js';
import type { RejectReason } from './rejectReasons.js';

/** Tables of docs/errors.md. */
export const docTables = {
  errors: (): string =>
    markdownTable(
      ['code', 'why', 'what to do'],
      Object.entries<ErrorEntry>(GENERAL_ERRORS).map(([code, { cause, mend }]) => [`\`${code}\``, cause, mend]),
    ),
  refusals: (): string =>
    markdownTable(
      ['code', 'reason', 'why', 'what to do'],
      Object.entries(REFUSALS).map(([reason, { cause, mend }]) => [
        `\`${refusalCode(reason as RejectReason)}\``,
        `\`${reason}\``,
        cause,
        mend,
      ]),
    ),
};
