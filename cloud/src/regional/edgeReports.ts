import type { Manifest } from '@ecavg/protocol';
import type { Members } from '../fleet/members.js';

/** Of all that its edges measured, what a region reports: means. */
const MEASURED = ['valBefore', 'valAfter', 'valPrevious', 'valServing'];

interface Parts {
  readonly members: Members;
  /** How long to wait for the edges' reports. */
  readonly settleSeconds: number;
  send(manifest: Manifest, values: Record<string, number>): void;
}

type State =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'waiting';
      readonly manifest: Manifest;
      readonly costs: Record<string, number>;
      readonly timer: NodeJS.Timeout;
    }
  | { readonly kind: 'sent'; readonly version: number };

/** One report of all its edges' on a version: once all have reported, or the wait is over. */
export class EdgeReports {
  #state: State = { kind: 'nothing' };

  constructor(private readonly parts: Parts) {}

  /** A version was passed on. @param costs go into its report. */
  expect(manifest: Manifest, costs: Record<string, number>): void {
    const state = this.#state;
    if (state.kind === 'sent' && state.version === manifest.version) return;
    this.stop();
    const timer = setTimeout(() => this.#send(manifest, costs), this.parts.settleSeconds * 1000);
    this.#state = { kind: 'waiting', manifest, costs, timer };
  }

  /** A report of an edge came. */
  came(): void {
    const state = this.#state;
    if (state.kind !== 'waiting') return;
    const { members } = this.parts;
    const has = new Set(members.reportsOn(state.manifest.version).map((r) => r.edge));
    if (members.online.every((edge) => has.has(edge))) this.#send(state.manifest, state.costs);
  }

  stop(): void {
    if (this.#state.kind === 'waiting') clearTimeout(this.#state.timer);
  }

  #send(manifest: Manifest, costs: Record<string, number>): void {
    this.stop();
    this.#state = { kind: 'sent', version: manifest.version };
    const reports = this.parts.members.reportsOn(manifest.version);
    const values: Record<string, number> = { edges: reports.length, ...costs };
    for (const name of MEASURED) {
      const known = reports.flatMap((r) => (r.values[name] === undefined ? [] : [r.values[name]]));
      if (known.length > 0) values[name] = known.reduce((a, v) => a + v, 0) / known.length;
    }
    this.parts.send(manifest, values);
  }
}
