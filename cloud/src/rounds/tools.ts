import { stat } from 'node:fs/promises';
import type { Logger } from '@ecavg/runtime';
import type { StrategyConfig } from '../aggregation/config.js';
import type { EdgeRecords } from '../fleet/edgeRecords.js';
import type { EventLog } from '../fleet/events.js';
import type { RoundState, RoundStore } from '../inbox/roundStore.js';
import type { Aggregator } from '../judging/aggregator.js';
import type { NegativeTransferGuard } from '../judging/guard.js';
import type { ReferenceSet } from '../judging/reference.js';
import type { Registry } from '../versions/registry.js';
import type { Releases } from '../versions/releases.js';
import type { History } from './history.js';
import { type RoundOutcome, roundRecord } from './outcome.js';
import type { PipelineTools } from './pipeline.js';

export interface ToolParts {
  readonly config: { readonly rounds: { readonly mode: 'sync' | 'async' }; readonly strategy: StrategyConfig };
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly reference: ReferenceSet;
  readonly aggregator: Aggregator;
  readonly guard: NegativeTransferGuard;
  readonly releases: Releases;
  readonly records: EdgeRecords;
  readonly history: History;
  readonly events: EventLog;
  readonly log: Logger;
  announce(state: RoundState): Promise<void>;
  /** Called once a round's outcome is registered. */
  closed(outcome: RoundOutcome): void;
}

/** What the stages of the pipeline work with, from the parts of this cloud. */
export function pipelineTools(parts: ToolParts): PipelineTools {
  const { config, registry, store, reference, aggregator, guard, releases, records, history, events, log } = parts;
  return {
    mode: config.rounds.mode,
    save: (state) => store.save(state),
    announce: (state) => parts.announce(state),
    current: () => releases.current,
    accepted: () => store.accepted,
    aggregate: (base, updates, about) => aggregator.aggregate(base, updates, about),
    ownDifference: (weights, round) => reference.ownDifference(weights, round),
    reliability: (edge) => records.reliability(edge),
    staleness: (sha256) => registry.staleness(sha256),
    fineTuning: (ingredients, round) => reference.fineTuning(ingredients, round),
    decide: (proposal) => guard.decide(proposal),
    credit: (state, updates) => records.closed(state, updates),
    register: (candidate) => releases.register(candidate),
    publish: (registered) => releases.publish(registered),
    registeredRound: () => registry.newest?.round,
    version: () => registry.head?.version ?? 0,
    finish: () => store.finish(),
    async remember(figures, { base, updates }) {
      const sizes = await Promise.all(updates.map(async (u) => (await stat(u.path)).size));
      const bytes = sizes.reduce((a, n) => a + n, 0);
      try {
        await history.closed(roundRecord(figures, bytes, 4 * base.layout.total * updates.length));
      } catch (error) {
        // What people read must not stop the rounds.
        log.error({ err: error, round: figures.round }, 'the round is missing in the history');
      }
    },
    tell(outcome, figures, { combined }) {
      parts.closed(outcome);
      const said = {
        ...figures,
        combiner: config.strategy.combiner,
        clipped: combined.clipped,
        canary: registry.canary?.version ?? null,
      };
      log[outcome.verdict.weights ? 'info' : 'warn'](said, 'round closed');
      events.emit('round-closed', said);
    },
  };
}
