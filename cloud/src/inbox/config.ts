import { CODECS, type CodecOptions, codec, PRESET_NAMES, presetOptions } from '@ecavg/protocol';
import { z } from 'zod';

/** `codec`: how edges code their updates. */
export const codecSchema = z
  .strictObject({
    /** For codecs with presets: lossless, balanced, tight, extreme, or auto, where each edge takes what its link carries. */
    preset: z.enum(PRESET_NAMES).default('balanced'),
    /** Another codec, without presets. */
    name: z.enum(Object.keys(CODECS) as [string, ...string[]]).default('range'),
    /** Single options over the preset's. */
    options: z.record(z.string(), z.number()).default({}),
  })
  .prefault({});
export type CodecConfig = z.output<typeof codecSchema>;

/** The codec's name and all its options, from preset and single settings. */
export function codecOptions({ name, preset, options }: CodecConfig): { name: string; options: CodecOptions } {
  return { name, options: codec(name).presets ? { ...presetOptions(preset), ...options } : options };
}
