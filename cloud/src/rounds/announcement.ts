import { type RoundMessage, warmedUp } from '@ecavg/protocol';
import { type CodecConfig, codecOptions } from '../inbox/config.js';
import type { RoundState } from '../inbox/roundStore.js';
import type { RoundsConfig } from './config.js';

/** The sections of the settings that a round's message is made from. */
export interface AnnouncementSettings {
  readonly model: { readonly id: string; readonly seed: number };
  readonly rounds: Pick<RoundsConfig, 'learningRate' | 'momentum' | 'mode'>;
  readonly codec: CodecConfig;
}

/** What edges are told of a round: on which version to train, how, and how to code what comes of it. */
export function announcement(
  state: RoundState,
  { model, rounds, codec }: AnnouncementSettings,
): Omit<RoundMessage, 'v' | 'type' | 'key' | 'signature'> {
  const { learningRate, momentum, mode } = rounds;
  const { name, options } = codecOptions(codec);
  return {
    model: model.id,
    round: state.round,
    state: state.phase === 'open' ? 'open' : 'closed',
    base: state.base,
    openedAt: state.openedAt,
    deadlineAt: state.deadlineAt,
    ...(state.selected && { participants: state.participants }),
    ...(mode === 'async' && { mode }),
    // Seeds of rounds are 1000 apart, and a gateway adds its own seed: no two trainings visit samples in the same order.
    hyper: { epochs: state.epochs, learningRate, momentum, seed: model.seed * 1_000_000 + state.round * 1000 },
    codec: { name, options: warmedUp(options, state.round) },
  };
}
