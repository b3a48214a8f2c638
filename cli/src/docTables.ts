import { type DataRole, markdownTable, type StateKind, stateKinds } from '@ecavg/runtime';
// What they write is known once their code is loaded.
import '@ecavg/broker';
import '@ecavg/cloud';
import '@ecavg/edge';

const ENCODINGS: Readonly<Record<string, string>> = {
  json: 'JSON',
  'json-indented': 'JSON',
  'json-lines': 'JSON lines',
  messagepack: 'MessagePack',
};

/** By what a file of this kind tells its format. */
function told({ about, format }: StateKind): string {
  if ('told' in about) return about.told;
  return format ? `format ${format.number}, ${ENCODINGS[format.encoding]}` : '';
}

const row = (places: readonly string[], kind: StateKind): string[] => [
  places.map((place) => `\`${place}\``).join(', '),
  kind.about.holds,
  told(kind),
  kind.about.removed,
];

const HEADS = ['file', 'holds', 'told by', 'removed'];

const files = (role: DataRole) => (): string =>
  markdownTable(
    HEADS,
    stateKinds.of(role).map(({ kind }) => row([kind.about.at[role] ?? []].flat(), kind)),
  );

/** Tables of docs/state-files.md; see scripts/docs.mjs. */
export const docTables = {
  'state-cloud': files('cloud'),
  'state-region': files('region'),
  'state-edge': files('edge'),
  'state-broker': files('broker'),
  'state-settings': () =>
    markdownTable(
      HEADS,
      stateKinds.all.flatMap((kind) => (kind.about.setting ? [row([kind.about.setting], kind)] : [])),
    ),
};
