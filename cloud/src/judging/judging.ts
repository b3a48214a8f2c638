// Judging: makes one model of a round's updates, fine-tunes it on the cloud's reference samples and decides whether it does harm.
// It may touch the rooms aggregation, fleet, telemetry and inbox; versions and rounds are told the outcome.
import type { Artifact, View } from '@ecavg/models';
import type { StrategyConfig } from '../aggregation/config.js';
import type { RoundStore } from '../inbox/roundStore.js';
import type { ShareStore } from '../inbox/shareStore.js';
import { Slices } from '../inbox/slices.js';
import { Aggregator } from './aggregator.js';
import { type AskedOfSites, askedOfSites } from './asked.js';
import type { JudgingConfig } from './config.js';
import { NegativeTransferGuard } from './guard.js';
import { HeadTuner } from './headTuner.js';
import { ReferenceSet } from './reference.js';
import type { ReferenceSamples } from './referenceSamples.js';

export interface JudgingParts {
  readonly config: JudgingConfig & { readonly strategy: StrategyConfig };
  /** Any version of the model: all have its layout. */
  readonly artifact: Artifact;
  readonly samples: ReferenceSamples;
  /** Of this model's rounds, on disk. */
  readonly folder: string;
  readonly store: RoundStore;
  /** What sites gave by opt-in. */
  readonly given: ShareStore;
}

/** What averages, trains and measures the models of one fleet. */
export interface Judging {
  readonly slices: Slices;
  readonly aggregator: Aggregator;
  readonly reference: ReferenceSet;
  readonly guard: NegativeTransferGuard;
  /** Where edges are asked for activations. */
  readonly headTuner: HeadTuner | undefined;
  readonly asked: AskedOfSites;
  /** Lets go of what trains and evaluates. */
  release(): Promise<void>;
}

/** @throws ModelError where the settings want what the model or the engine can't do. */
export async function openJudging(parts: JudgingParts): Promise<Judging> {
  const { config, artifact, samples, folder, store, given } = parts;
  const shared = async (): Promise<View[]> =>
    config.fineTune.samples > 0 ? given.views('samples', await given.edges('samples')) : [];
  const slices = new Slices(artifact, config.strategy.combiner);
  const reference = await ReferenceSet.create(config, artifact, samples, shared);
  const headTuner = await HeadTuner.create(config, artifact);
  return {
    slices,
    aggregator: new Aggregator(config, folder, store.references, slices),
    reference,
    guard: new NegativeTransferGuard(reference, config),
    headTuner,
    asked: askedOfSites(config.fineTune, artifact, headTuner),
    async release() {
      await reference.release();
      await headTuner?.release();
    },
  };
}
