import type { CodecOptions } from './types.js';

/**
 * Options of the codec `range` by purpose. How many times smaller than float32 an update is, and how many points of accuracy that costs, was
 * measured after 20 rounds of an MLP and 12 of a convolutional network on MNIST (docs/decisions.md).
 */
export const PRESETS = {
  /** Every bit of float32. */
  lossless: { step: 0, smallStep: 0 },
  /** About 20x: what a version differs from the one before, on its way to the edges. */
  fine: { step: 0.5, smallStep: 0.02, temporal: 1 },
  /** About 35x to 40x, nothing lost that could be measured. */
  balanced: { step: 2, smallStep: 0.1, temporal: 1 },
  /** About 330x, 1 to 1.5 points: for mobile links that cost by the megabyte. */
  tight: { step: 6, smallStep: 0.5, temporal: 1 },
  /** About 1,000x, 3 to 5 points: for satellite and radio. */
  extreme: { fraction: 0.0025, smallStep: 1, temporal: 1 },
} as const satisfies Readonly<Record<string, CodecOptions>>;

/** Name of a preset, as in settings. */
export type Preset = keyof typeof PRESETS | 'auto';

/** Names of presets, as in config. `auto`: each edge takes the finest that its link carries in time. */
export const PRESET_NAMES = ['auto', ...(Object.keys(PRESETS) as (keyof typeof PRESETS)[])] as const;

const OPTIONS: Readonly<Record<Preset, CodecOptions>> = { ...PRESETS, auto: { ...PRESETS.balanced, auto: 1 } };

/** The options that a round message carries for a preset. */
export const presetOptions = (preset: Preset): CodecOptions => OPTIONS[preset];

/** From fine to coarse: what an edge tries with `auto`. */
const LADDER: readonly CodecOptions[] = [
  PRESETS.fine,
  { ...PRESETS.balanced, step: 1 },
  PRESETS.balanced,
  { ...PRESETS.balanced, step: 3.5, smallStep: 0.25 },
  PRESETS.tight,
  PRESETS.extreme,
];
const BALANCED = 2;

/**
 * With option `auto`: encodes with the finest setting whose payload stays within `budget` bytes, or the coarsest. An
 * unknown budget (no transfer was measured yet) takes `balanced`. It begins in the middle of the ladder, so that a usual link costs two
 * encodings. Without option `auto` it encodes once.
 * @param budget bytes that the link carries in time.
 */
export function encodeWithin<T extends { readonly payload: Uint8Array }>(
  options: CodecOptions,
  budget: number | undefined,
  encode: (options: CodecOptions) => T,
): T {
  if (options.auto !== 1) return encode(options);
  const at = (i: number): T => encode({ ...options, ...LADDER[i] });
  let result = at(BALANCED);
  if (budget === undefined) return result;
  if (result.payload.length > budget) {
    for (let i = BALANCED + 1; i < LADDER.length && result.payload.length > budget; i++) result = at(i);
    return result;
  }
  for (let i = BALANCED - 1; i >= 0; i--) {
    const finer = at(i);
    if (finer.payload.length > budget) break;
    result = finer;
  }
  return result;
}

/**
 * Warm-up of sparse codecs (Lin et al. 2018, section 3.3): with option `warmup` w, the share of values that is sent falls
 * exponentially over the first w rounds to `fraction`. Done by the cloud, so that all edges agree.
 * @param round from 1.
 */
export function warmedUp(options: CodecOptions, round: number): CodecOptions {
  const { fraction = 0, warmup = 0 } = options;
  if (fraction <= 0 || round > warmup) return options;
  return { ...options, fraction: fraction ** (round / (warmup + 1)) };
}
