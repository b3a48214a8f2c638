const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells: readonly string[]): string => `|${cells.map((c) => (c ? ` ${cell(c)} ` : ' ')).join('|')}|`;

/** A table of Markdown, for docs that are made from code. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), `|${head.map(() => '---|').join('')}`, ...rows.map(row)].join('\n');
}
