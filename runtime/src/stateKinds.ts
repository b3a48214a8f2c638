/** Who keeps a data folder. */
export const DATA_ROLES = ['cloud', 'region', 'edge', 'broker'] as const;
export type DataRole = (typeof DATA_ROLES)[number];

/** What people may want to know of a kind of file. */
export interface StateAbout {
  /** As messages say it: `edge outbox`. */
  readonly kind: string;
  /**
   * Where such files lie in the data folder of each role that has them: `rounds/{model}/round.json`, where `{model}` stands for any one
   * name. A part in square brackets may be missing.
   */
  readonly at: Readonly<Partial<Record<DataRole, string | readonly string[]>>>;
  /** The setting that says where it lies, in place of `at`. */
  readonly setting?: string;
  readonly holds: string;
  /** Commands change it beside the running daemon: an older one is left as it is until it changes. */
  readonly shared?: true;
  /** What becomes of who removes it, while the daemon is stopped. */
  readonly removed: string;
}

/** A kind of file that says what it is by other means than a number of ours. */
export interface OpaqueAbout extends StateAbout {
  /** By what: `PEM`, `named by its sha256`. */
  readonly told: string;
}

/** What the start of a daemon asks of a format. */
export interface Format {
  readonly number: number;
  readonly mode: number | undefined;
  readonly encoding: string;
  readonly formatInHead: boolean;
  formatsOf(bytes: Uint8Array): number[];
  refuseNewer(bytes: Uint8Array, path: string): void;
  renewed(bytes: Uint8Array, path: string): Uint8Array | string | undefined;
}

export interface StateKind {
  readonly about: StateAbout | OpaqueAbout;
  /** Undefined for a kind that carries no number. */
  readonly format: Format | undefined;
}

/** Every kind of file that the loaded code writes into data folders: docs, tests and the start of a daemon look here. */
class StateKinds {
  readonly #kinds: StateKind[] = [];

  add(about: StateAbout, format: Format | undefined): void {
    this.#kinds.push({ about, format });
  }

  of(role: DataRole): { readonly kind: StateKind; readonly patterns: readonly Pattern[] }[] {
    return this.#kinds.flatMap((kind) => {
      const at = kind.about.at[role];
      return at === undefined ? [] : [{ kind, patterns: [at].flat().flatMap(patternsOf) }];
    });
  }

  get all(): readonly StateKind[] {
    return this.#kinds;
  }
}

export const stateKinds = new StateKinds();

/** Says that daemons write files of this kind. */
export function opaqueState(about: OpaqueAbout): void {
  stateKinds.add(about, undefined);
}

/** Levels of a path below the data folder. */
export type Pattern = readonly RegExp[];

/** `[fleets/{fleet}/]keys/{edge}.json`: with and without what is in brackets. */
function patternsOf(text: string): Pattern[] {
  const forms = /\[/.test(text) ? [text.replace(/\[.*?\]/, ''), text.replace(/[[\]]/g, '')] : [text];
  return forms.map((form) =>
    form
      .split('/')
      .map((level) => new RegExp(`^${level.replace(/[.*+?^$()|\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`)),
  );
}

/** Whether a path below a data folder, of `/` and names, is of this pattern. */
export const fits = (pattern: Pattern, path: string): boolean => {
  const levels = path.split('/');
  return levels.length === pattern.length && pattern.every((p, i) => p.test(levels[i] as string));
};
