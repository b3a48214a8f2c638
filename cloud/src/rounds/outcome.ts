import type { UpdateHeader } from '@ecavg/protocol';
import type { RoundState } from '../inbox/roundStore.js';
import { chosenScore, type Verdict } from '../judging/guard.js';
import type { RoundRecord } from './history.js';

/** What came of a round. */
export interface RoundOutcome {
  readonly state: RoundState;
  readonly updates: readonly UpdateHeader[];
  readonly verdict: Verdict;
  /** In force after the round, or on trial. */
  readonly version: number;
  /** From its opening to its end. */
  readonly seconds: number;
}

/** What logs and events say of a closed round. */
export function roundFigures({ state, updates, verdict, version, seconds }: RoundOutcome) {
  const [first] = verdict.attempts;
  return {
    round: state.round,
    decision: verdict.decision,
    version,
    accepted: updates.map((h) => h.edge),
    participants: state.participants,
    previous: verdict.previous.accuracy,
    average: first.average.accuracy,
    fineTuned: first.fineTuned?.accuracy ?? null,
    accuracy: chosenScore(verdict).accuracy,
    attempts: verdict.attempts.map(({ rung, leftOut, average, fineTuned }) => ({
      rung,
      leftOut,
      average: average.accuracy,
      fineTuned: fineTuned?.accuracy ?? null,
    })),
    indicators: verdict.indicators,
    seconds,
  };
}

export type RoundFigures = ReturnType<typeof roundFigures>;

/** What is remembered of a closed round. */
export function roundRecord(
  { indicators: _, previous, average, accuracy, ...figures }: RoundFigures,
  bytes: number,
  float32Bytes: number,
): RoundRecord {
  const finite = (value: number | null): number | null => (Number.isFinite(value) ? value : null);
  return {
    ...figures,
    at: Date.now(),
    previous: finite(previous),
    average: finite(average),
    fineTuned: finite(figures.fineTuned),
    accuracy: finite(accuracy),
    attempts: figures.attempts.map((a) => ({
      rung: a.rung,
      leftOut: [...a.leftOut],
      average: finite(a.average),
      fineTuned: finite(a.fineTuned),
    })),
    bytes,
    float32Bytes,
  };
}
