import { type Artifact, updateArtifact } from '@ecavg/models';
import { type CodecOptions, codec, PRESETS } from '@ecavg/protocol';

/** Codecs whose differences an edge adds bit for bit as the cloud does. */
const CODEC = 'range';

/** The step from one version to the next as it is published. */
export interface Difference {
  /** sha256 of the version that it leads on from. */
  readonly from: string;
  readonly codec: string;
  readonly payload: Uint8Array;
}

/**
 * Codes the way from `base` to `weights`, and takes what a receiver decodes as the new version: an edge that has `base`
 * gets a few bits a weight and ends with the very same bytes. Where coding does harm (`acceptable` says so), it is coded
 * more finely, and at last without loss.
 */
export async function nextVersion(
  base: Artifact,
  weights: Float32Array,
  options: CodecOptions,
  acceptable: (weights: Float32Array) => Promise<boolean>,
): Promise<{ artifact: Artifact; difference: Difference; lossless: boolean }> {
  const coder = codec(CODEC);
  const delta = weights.map((w, i) => w - (base.weights[i] as number));
  const attempt = (o: CodecOptions): { payload: Uint8Array; decoded: Float32Array } => {
    const payload = coder.encode(delta, base.layout, o);
    const decoded = base.weights.slice();
    coder.accumulate(payload, base.layout, 1, decoded);
    return { payload, decoded };
  };
  let coded = attempt(options);
  let lossless = options.step === 0;
  for (const finer of [scaled(options, 0.2), PRESETS.lossless]) {
    if (lossless || (await acceptable(coded.decoded))) break;
    coded = attempt(finer);
    lossless = finer.step === 0;
  }
  const artifact = updateArtifact(base, coded.decoded);
  return { artifact, difference: { from: base.sha256, codec: CODEC, payload: coded.payload }, lossless };
}

function scaled(options: CodecOptions, factor: number): CodecOptions {
  const { step = 0, smallStep = 0 } = options;
  return { ...options, step: step * factor, smallStep: smallStep * factor };
}
