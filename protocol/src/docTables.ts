import { GENERAL_ERRORS, refusalCode } from './errorTable.js';
import { type ErrorEntry, REFUSALS } from './refusals.js';
import type { RejectReason } from './rejectReasons.js';

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');
}

/** Tables of docs/errors.md. */
export const docTables = {
  errors: (): string =>
    table(
      ['code', 'why', 'what to do'],
      Object.entries<ErrorEntry>(GENERAL_ERRORS).map(([code, { cause, mend }]) => [`\`${code}\``, cause, mend]),
    ),
  refusals: (): string =>
    table(
      ['code', 'reason', 'why', 'what to do'],
      Object.entries(REFUSALS).map(([reason, { cause, mend }]) => [
        `\`${refusalCode(reason as RejectReason)}\``,
        `\`${reason}\``,
        cause,
        mend,
      ]),
    ),
};
