// Rounds: when a round opens and closes, what is done with its updates (pipeline.ts), what is told and remembered of it.
// It may touch the rooms aggregation, fleet, telemetry, inbox, judging and versions.
import type { SerialQueue } from '@ecavg/runtime';
import type { ShareStore } from '../inbox/shareStore.js';
import type { Judging } from '../judging/judging.js';
import { VersionControl } from './control.js';
import { HeadTuning } from './headTuning.js';
import { closeRound } from './pipeline.js';
import { RoundManager, type RoundParts, type RoundSettings } from './rounds.js';
import { pipelineTools, type ToolParts } from './tools.js';

type Made = 'close' | 'headTuning';

export interface RoundsParts extends Omit<RoundParts, Made | 'config'>, Omit<ToolParts, keyof Judging | 'config'> {
  readonly config: RoundSettings;
  readonly judging: Judging;
  readonly given: ShareStore;
  readonly queue: SerialQueue;
}

/** The rounds of one model, and control over its versions beside them. */
export function openRounds(parts: RoundsParts): { readonly rounds: RoundManager; readonly control: VersionControl } {
  const { judging, given } = parts;
  const { reference, aggregator, headTuner } = judging;
  const tools = pipelineTools({ ...parts, ...judging });
  const rounds = new RoundManager({
    ...parts,
    headTuning: headTuner && new HeadTuning({ ...parts, reference, aggregator, headTuner, given }),
    close: (round) => closeRound(round, tools),
  });
  return { rounds, control: new VersionControl({ ...parts, rounds }) };
}
