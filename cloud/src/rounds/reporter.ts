import type { MetricsMessage } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { InboxCounters, Refused } from '../inbox/receipts.js';
import type { TelemetrySink } from '../telemetry/points.js';
import type { Reception } from '../versions/canary.js';
import type { History, ReceptionRecord } from './history.js';
import type { RoundOutcome } from './outcome.js';
import {
  edgePoint,
  type Names,
  qualityPoints,
  quorumPoint,
  receptionPoint,
  rejectPoint,
  roundPoints,
} from './telemetryPoints.js';

export interface ReporterParts {
  readonly names: Names;
  readonly telemetry: TelemetrySink;
  readonly history: History;
  readonly log: Logger;
}

/** Tells telemetry, and the history that people read, what happens with a model. */
export class Reporter {
  constructor(private readonly parts: ReporterParts) {}

  /** @param parameters of the model, how many. */
  roundClosed(outcome: RoundOutcome, wire: InboxCounters, parameters: number): void {
    const { names, telemetry } = this.parts;
    telemetry.write(roundPoints(names, outcome, wire, parameters));
  }

  /** What the edges made of a version. */
  received(version: number, outcome: ReceptionRecord['outcome'], reception: Reception): void {
    const { names, telemetry, history, log } = this.parts;
    telemetry.write([receptionPoint(names, version, outcome, reception)]);
    const { hurt, edges } = reception;
    const record = { at: Date.now(), version, outcome, hurt: [...hurt], edges: [...edges] };
    history.received(record).catch((error: unknown) => log.error({ err: error }, 'the history is not written'));
  }

  refused({ edge, reason, total }: Refused): void {
    this.parts.telemetry.write([rejectPoint(this.parts.names, edge, reason, total)]);
  }

  edge(report: MetricsMessage): void {
    const { names, telemetry } = this.parts;
    telemetry.write([edgePoint(names, report), ...qualityPoints(names, report)]);
  }

  /** A deadline found a round without a quorum. */
  withoutQuorum(figures: Readonly<Record<string, unknown>>): void {
    this.parts.telemetry.write([quorumPoint(this.parts.names, figures)]);
  }
}
