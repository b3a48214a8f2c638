import type { CloudEvent } from '@ecavg/cloud';
import { formatBytes } from '../bytes.js';

export interface EdgeProgress {
  readonly name: string;
  state: string;
  samples: number;
  /** Accuracy on the common test set of the model trained here alone, before any collaboration. */
  before: number | undefined;
  /** Of the model trained here in the current round. */
  trained: number | undefined;
  /** Of the newest version that this gateway received. */
  received: number | undefined;
  /** Of the model in service here. */
  serving: number | undefined;
  kept: boolean;
  bytesUp: number;
}

export interface RoundLine {
  readonly round: number;
  readonly decision: string;
  readonly version: number;
  readonly updates: number;
  readonly participants: number;
  readonly average: number;
  readonly fineTuned: number | null;
  readonly seconds: number;
}

type Values = Record<string, number>;
type Data = CloudEvent['data'];
type Closed = Omit<RoundLine, 'updates' | 'participants'> & { accepted: string[]; participants: string[] };

/** Turns the cloud's events into what the demo shows and reports. */
export class Tracker {
  readonly edges: EdgeProgress[];
  readonly rounds: RoundLine[] = [];
  round = 0;
  upFloat32 = 0;
  down = 0;
  rejected = 0;
  /** True once the last round is closed and its version, if it made one, was reported on by all. */
  finished = false;

  constructor(names: readonly string[]) {
    this.edges = names.map((name) => ({
      name,
      state: 'starting',
      samples: 0,
      before: undefined,
      trained: undefined,
      received: undefined,
      serving: undefined,
      kept: false,
      bytesUp: 0,
    }));
  }

  /** What each type of event changes, and the line worth printing; types that are not here tell the demo nothing. */
  readonly #takes: Partial<
    Record<CloudEvent['type'], (data: Data, edge: EdgeProgress | undefined) => string | undefined>
  > = {
    edge: (data, edge) => {
      if (!edge) return undefined;
      edge.samples = Number(data.samples);
      edge.state = data.online ? 'online' : 'offline';
      return data.online ? undefined : `${edge.name} went offline`;
    },
    'round-opened': (data) => {
      this.round = Number(data.round);
      for (const e of this.edges) e.state = 'training';
      return `round ${this.round}: ${(data.participants as string[]).length} gateways train ${data.epochs} epochs from version ${data.base}`;
    },
    accepted: (data, edge) => {
      this.upFloat32 += Number(data.float32);
      if (!edge) return undefined;
      edge.state = 'update sent';
      edge.bytesUp += Number(data.bytes);
      return `round ${data.round}: update of ${edge.name}, ${formatBytes(Number(data.bytes))} instead of ${formatBytes(Number(data.float32))}`;
    },
    rejected: (data) => {
      this.rejected++;
      return `refused a message of ${data.edge ?? 'unknown'}: ${data.reason} (${data.detail})`;
    },
    'deadline-extended': (data) =>
      `round ${data.round}: ${data.accepted} of ${data.needed} updates at the deadline; it stays open`,
    report: (data, edge) => this.#report(edge, String(data.event), data.values as Values),
    'round-closed': (data) => this.#closed(data as unknown as Closed),
    finished: () => {
      this.finished = true;
      return undefined;
    },
  };

  /** Returns a line worth printing, or undefined. */
  take({ type, data }: CloudEvent): string | undefined {
    const edge = this.edges.find((e) => e.name === data.edge);
    return this.#takes[type]?.(data, edge);
  }

  #report(edge: EdgeProgress | undefined, event: string, values: Values): string | undefined {
    if (event !== 'trained') this.down += values.bytesDown ?? 0;
    if (!edge) return undefined;
    if (event === 'trained') {
      edge.trained = values.testAfter;
      edge.before ??= values.testAfter;
      return undefined;
    }
    edge.received = values.testAfter;
    edge.serving = values.testServing;
    edge.kept = event === 'kept';
    edge.state = edge.kept ? 'kept its own' : 'updated';
    return edge.trained !== undefined
      ? `round ${this.round}: ${edge.name} ${percent(edge.trained)} -> ${percent(edge.serving)}${edge.kept ? ' (kept its own model)' : ''}`
      : undefined;
  }

  #closed(data: Closed): string {
    const line = { ...data, updates: data.accepted.length, participants: data.participants.length };
    this.rounds.push(line);
    return roundText(line);
  }
}

export function roundText(r: RoundLine): string {
  const tuned = r.fineTuned === null ? '' : `, fine-tuned ${percent(r.fineTuned)}`;
  const outcome = r.decision === 'kept-previous' ? `guard kept version ${r.version}` : `version ${r.version}`;
  return `round ${r.round}: ${r.updates}/${r.participants} updates, average ${percent(r.average)}${tuned} on the guard's samples -> ${outcome}, ${r.seconds.toFixed(1)} s`;
}

export function percent(value: number | undefined): string {
  return value === undefined ? '-' : `${(100 * value).toFixed(1)} %`;
}
