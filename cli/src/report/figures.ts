import type { ReceptionRecord, RoundRecord } from '@ecavg/cloud';

/** A round whose plain average was worse than the version before: averaging did harm. */
export interface NegativeTransfer {
  readonly round: number;
  readonly previous: number;
  readonly average: number;
  /** mended: a later candidate held. fine-tuning: tuning alone made up for it. refused: the version before was kept. */
  readonly ended: 'mended' | 'fine-tuning' | 'refused';
  readonly accuracy: number;
  readonly leftOut: readonly string[];
}

/** What one gateway had of it, on its own validation samples. */
export interface GatewayFigures {
  readonly edge: string;
  /** Rounds in which its update was averaged, of those in which it was asked. */
  readonly answered: number;
  readonly asked: number;
  /** Accuracy at its first report and at its last; undefined where it never reported. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** Versions that cost it more than the tolerance. */
  readonly hurt: number;
}

/** The evaluation of a run. Accuracies are in [0, 1]. */
export interface RunFigures {
  readonly rounds: readonly RoundRecord[];
  readonly days: number;
  readonly start: number | null;
  readonly end: number | null;
  readonly best: number | null;
  readonly bytes: number;
  readonly float32Bytes: number;
  readonly negative: readonly NegativeTransfer[];
  readonly gateways: readonly GatewayFigures[];
  /** Rounds from which on accuracy grew by less than half a point; 0: it still grows. */
  readonly plateau: number;
}

/** Accuracy that a plateau may still gain. */
const STILL = 0.005;

/** @param tolerance what the guard allows a version to lose. */
export function figuresOf(
  rounds: readonly RoundRecord[],
  receptions: readonly ReceptionRecord[],
  tolerance: number,
): RunFigures {
  const scores = rounds.flatMap((r) => (r.accuracy === null ? [] : [r.accuracy]));
  const [first] = rounds;
  const last = rounds.at(-1);
  return {
    rounds,
    days: first && last ? (last.at - first.at) / 86_400_000 : 0,
    start: first?.previous ?? null,
    end: last?.accuracy ?? null,
    best: scores.length > 0 ? Math.max(...scores) : null,
    bytes: rounds.reduce((a, r) => a + r.bytes, 0),
    float32Bytes: rounds.reduce((a, r) => a + r.float32Bytes, 0),
    negative: rounds.flatMap((r) => negativeTransfer(r, tolerance)),
    gateways: gatewaysOf(rounds, receptions),
    plateau: plateauOf(scores),
  };
}

function negativeTransfer(r: RoundRecord, tolerance: number): NegativeTransfer[] {
  if (r.average === null || r.previous === null || r.average >= r.previous - tolerance) return [];
  const ended = r.decision === 'kept-previous' ? 'refused' : r.attempts.length > 1 ? 'mended' : 'fine-tuning';
  return [
    {
      round: r.round,
      previous: r.previous,
      average: r.average,
      ended,
      accuracy: r.accuracy ?? r.previous,
      leftOut: ended === 'mended' ? (r.attempts.at(-1)?.leftOut ?? []) : [],
    },
  ];
}

function gatewaysOf(rounds: readonly RoundRecord[], receptions: readonly ReceptionRecord[]): GatewayFigures[] {
  const names = new Set([
    ...rounds.flatMap((r) => [...r.participants, ...r.accepted]),
    ...receptions.flatMap((r) => r.edges.map((e) => e.edge)),
  ]);
  return [...names].sort().map((edge) => {
    const said = receptions.flatMap((r) => r.edges.filter((e) => e.edge === edge));
    return {
      edge,
      asked: rounds.filter((r) => r.participants.includes(edge)).length,
      answered: rounds.filter((r) => r.accepted.includes(edge)).length,
      first: said[0]?.before,
      last: said.at(-1)?.after,
      hurt: receptions.filter((r) => r.hurt.includes(edge)).length,
    };
  });
}

/** How many of the last rounds brought less than half a point together. */
function plateauOf(scores: readonly number[]): number {
  const best = Math.max(...scores);
  const reached = scores.findIndex((s) => s >= best - STILL);
  return reached < 0 ? 0 : scores.length - 1 - reached;
}
