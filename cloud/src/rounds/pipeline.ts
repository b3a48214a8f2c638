import type { Artifact } from '@ecavg/models';
import type { UpdateHeader } from '@ecavg/protocol';
import type { Accepted, RoundState } from '../inbox/roundStore.js';
import type { Aggregate, AggregateOptions } from '../judging/aggregator.js';
import { chosenScore, type Proposal, type Verdict } from '../judging/guard.js';
import type { Ingredients } from '../judging/ingredients.js';
import type { FineTune } from '../judging/reference.js';
import type { Candidate, Registered } from '../versions/releases.js';
import { type RoundFigures, type RoundOutcome, roundFigures } from './outcome.js';

// How a round ends, stage by stage. A stage is a function of what the one before gave; what else it needs it gets as functions, so that
// it knows no class of another room. The phase on disk says where to go on after a crash:
// - open: nothing of this has begun.
// - closing, and no version of this round in the registry: all of it again, from the same updates.
// - closing, and its version is in the registry: only the end is left to write; the version is published when the cloud starts.
// - done.

/** A round's updates, and the version that they are differences from. */
export interface Collected {
  readonly state: RoundState;
  readonly base: Artifact;
  readonly updates: readonly Accepted[];
}

export interface CollectTools {
  readonly mode: 'sync' | 'async';
  /** Writes the round and its phase to disk. */
  save(state: RoundState): Promise<void>;
  /** Tells the edges how the round stands. */
  announce(state: RoundState): Promise<void>;
  /** The version in force. */
  current(): Artifact;
  /** The updates on disk. */
  accepted(): readonly Accepted[];
}

/** 1. Takes the updates that were accepted; none is taken from here on. */
export async function collect(round: RoundState, tools: CollectTools): Promise<Collected> {
  const state: RoundState = { ...round, phase: 'closing' };
  await tools.save(state);
  // In asynchronous rounds edges need not be told: each ends the training that it is at.
  if (tools.mode === 'sync') await tools.announce(state);
  return { state, base: tools.current(), updates: tools.accepted() };
}

export interface CombineTools {
  aggregate(base: Artifact, updates: readonly Accepted[], about: AggregateOptions): Promise<Aggregate>;
  /** The cloud's own difference from weights, trained on its samples. */
  ownDifference(weights: Float32Array, round: number): Promise<Float32Array | undefined>;
  /** How well an edge's earlier updates served, in [0, 1]. */
  reliability(edge: string): number;
  /** Versions that came into force after the one with this sha256. */
  staleness(sha256: string): number | undefined;
}

/** 2. Makes one model of the updates, as `strategy` says. */
export function combine({ state, base, updates }: Collected, tools: CombineTools): Promise<Aggregate> {
  return tools.aggregate(base, updates, {
    own: () => tools.ownDifference(base.weights, state.round),
    reliability: (edge) => tools.reliability(edge),
    staleness: (sha256) => tools.staleness(sha256) ?? 0,
  });
}

export interface TuneTools {
  fineTuning(ingredients: Ingredients, round: number): Promise<FineTune>;
}

/** 3. Settles how this round's candidates are fine-tuned: on which samples, and taught by which edges. */
export function tune({ state }: Collected, { ingredients }: Aggregate, tools: TuneTools): Promise<FineTune> {
  return tools.fineTuning(ingredients, state.round);
}

export interface JudgeTools {
  decide(proposal: Proposal): Promise<Verdict>;
}

/** 4. Tries the aggregate with and without fine-tuning, and mends of it where it does harm. */
export function judge(
  { state, base }: Collected,
  { weights, ingredients }: Aggregate,
  fineTune: FineTune,
  tools: JudgeTools,
): Promise<Verdict> {
  return tools.decide({ round: state.round, base: base.weights, average: weights, ingredients, fineTune });
}

export interface RegisterTools {
  /** Writes down who was asked and who answered with what. */
  credit(state: RoundState, updates: readonly UpdateHeader[]): Promise<void>;
  /** Writes a new version to the registry. */
  register(candidate: Candidate): Promise<Registered>;
}

/** 5. Writes down what the edges did and the new version; undefined where the previous version is kept. */
export async function register(
  { state, updates }: Collected,
  aggregate: Aggregate,
  verdict: Verdict,
  tools: RegisterTools,
): Promise<Registered | undefined> {
  await tools.credit(
    state,
    updates.map((u) => u.header),
  );
  if (!verdict.weights) return undefined;
  const [first] = verdict.attempts;
  return tools.register({
    round: state.round,
    weights: verdict.weights,
    score: chosenScore(verdict),
    metrics: {
      previousAccuracy: verdict.previous.accuracy,
      averageAccuracy: first.average.accuracy,
      ...(first.fineTuned ? { fineTunedAccuracy: first.fineTuned.accuracy } : {}),
      updates: updates.length,
    },
    moments: aggregate.state,
  });
}

export interface PublishTools {
  publish(registered: Registered): Promise<void>;
}

/** 6. Sends the version to everybody, or to those that try it first. */
export async function publish(registered: Registered | undefined, tools: PublishTools): Promise<void> {
  if (registered) await tools.publish(registered);
}

export interface ReportTools {
  /** Number of the version in force. */
  version(): number;
  /** Keeps the round's figures for people. */
  remember(figures: RoundFigures, collected: Collected): Promise<void>;
  /** Ends the round on disk; its updates go. */
  finish(): Promise<void>;
  /** Tells logs, events and telemetry. */
  tell(outcome: RoundOutcome, figures: RoundFigures, aggregate: Aggregate): void;
}

/** 7. Ends the round on disk, and says what came of it. */
export async function report(
  collected: Collected,
  aggregate: Aggregate,
  verdict: Verdict,
  tools: ReportTools,
): Promise<void> {
  const { state, updates } = collected;
  const outcome: RoundOutcome = {
    state,
    updates: updates.map((u) => u.header),
    verdict,
    version: tools.version(),
    seconds: (Date.now() - state.openedAt) / 1000,
  };
  const figures = roundFigures(outcome);
  await tools.remember(figures, collected);
  await tools.finish();
  tools.tell(outcome, figures, aggregate);
}

export interface PipelineTools
  extends CollectTools,
    CombineTools,
    TuneTools,
    JudgeTools,
    RegisterTools,
    PublishTools,
    ReportTools {
  /** Round of the newest version in the registry; undefined where there is none. */
  registeredRound(): number | undefined;
}

/** Brings a round that is open and complete, or was interrupted while closing, to its end. */
export async function closeRound(round: RoundState, tools: PipelineTools): Promise<void> {
  if (round.phase === 'closing' && tools.registeredRound() === round.round) return tools.finish();
  const collected = await collect(round, tools);
  const aggregate = await combine(collected, tools);
  const fineTune = await tune(collected, aggregate, tools);
  const verdict = await judge(collected, aggregate, fineTune, tools);
  const registered = await register(collected, aggregate, verdict, tools);
  await publish(registered, tools);
  await report(collected, aggregate, verdict, tools);
}
