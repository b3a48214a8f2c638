import type { MetricsMessage } from '@ecavg/protocol';
import type { InboxCounters } from '../inbox/receipts.js';
import { chosenScore } from '../judging/guard.js';
import { finiteFields, type Point } from '../telemetry/points.js';
import type { Reception } from '../versions/canary.js';
import type { RoundOutcome } from './outcome.js';

export interface Names {
  readonly fleet: string;
  readonly model: string;
}

/** Points of a closed round; their tags and fields are documented in docs/telemetry.md. */
export function roundPoints(names: Names, outcome: RoundOutcome, wire: InboxCounters, parameters: number): Point[] {
  const { state, updates, verdict, version, seconds } = outcome;
  const at = Date.now();
  const tags = { fleet: names.fleet, model: names.model };
  const rejected = Object.values(wire.rejected).reduce((a, n) => a + n, 0);
  const score = chosenScore(verdict);
  const [first] = verdict.attempts;
  const last = verdict.attempts.at(-1);
  const round: Point = {
    measurement: 'ecavg_round',
    tags: { ...tags, decision: verdict.decision },
    fields: finiteFields({
      round: state.round,
      version,
      participants: state.participants.length,
      updates: updates.length,
      samples: updates.reduce((a, u) => a + u.samples, 0),
      accuracy_previous: verdict.previous.accuracy,
      accuracy_average: first.average.accuracy,
      accuracy_fine_tuned: first.fineTuned?.accuracy,
      loss_previous: verdict.previous.loss,
      loss_average: first.average.loss,
      duration_seconds: seconds,
    }),
    at,
  };
  const model: Point = {
    measurement: 'ecavg_model',
    tags,
    fields: finiteFields({ version, parameters, accuracy: score.accuracy, loss: score.loss }),
    at,
  };
  const total: Point = {
    measurement: 'ecavg_wire',
    tags: { ...tags, direction: 'up' },
    fields: {
      messages: wire.messages,
      bytes: wire.bytes,
      rejected,
      round_float32_bytes: updates.length * parameters * 4,
    },
    at,
  };
  const { indicators } = verdict;
  const guard: Point = {
    measurement: 'ecavg_guard',
    tags: { ...tags, decision: verdict.decision, rung: verdict.weights ? (last?.rung ?? 'aggregate') : 'none' },
    fields: finiteFields({
      round: state.round,
      attempts: verdict.attempts.length,
      left_out: verdict.weights ? (last?.leftOut.length ?? 0) : 0,
      over_previous: indicators.overPrevious,
      over_best_edge: indicators.overBestEdge,
      cosine_mean: indicators.cosineMean,
      cosine_least: indicators.cosineLeast,
      norm_outliers: indicators.normOutliers,
      loss_barrier: indicators.lossBarrier,
    }),
    at,
  };
  return [round, model, total, guard];
}

/** What the edges made of a version. */
export function receptionPoint(names: Names, version: number, outcome: string, reception: Reception): Point {
  return {
    measurement: 'ecavg_reception',
    tags: { fleet: names.fleet, model: names.model, outcome },
    fields: {
      version,
      reports: reception.reports,
      mean_change: reception.meanChange,
      worst_change: reception.worstChange,
      hurt: reception.hurt.length,
    },
    at: Date.now(),
  };
}

/** A report of an edge: every measured value is a field of its name in snake case. */
export function edgePoint(names: Names, { edge, event, round, version, values }: MetricsMessage): Point {
  return {
    measurement: 'ecavg_edge',
    tags: { fleet: names.fleet, model: names.model, edge, event },
    fields: { ...snakeCase(values), round, version },
    at: Date.now(),
  };
}

/** What an edge says of its sensors, one by one. */
export function qualityPoints(names: Names, { edge, event, channels = {} }: MetricsMessage): Point[] {
  return Object.entries(channels).map(([channel, values]) => ({
    measurement: 'ecavg_quality',
    tags: { fleet: names.fleet, model: names.model, edge, channel, event },
    fields: snakeCase(values),
    at: Date.now(),
  }));
}

/** A round that its deadline found without a quorum. */
export function quorumPoint(names: Names, { round, accepted, needed }: Readonly<Record<string, unknown>>): Point {
  return {
    measurement: 'ecavg_quorum',
    tags: { fleet: names.fleet, model: names.model },
    fields: finiteFields({ round: Number(round), accepted: Number(accepted), needed: Number(needed) }),
    at: Date.now(),
  };
}

const snakeCase = (values: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(values).map(([k, v]) => [k.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), v] as const),
  );

export function rejectPoint(names: Names, edge: string | undefined, reason: string, total: number): Point {
  return {
    measurement: 'ecavg_reject',
    tags: { fleet: names.fleet, model: names.model, edge: edge ?? 'unknown', reason },
    fields: { total },
    at: Date.now(),
  };
}
