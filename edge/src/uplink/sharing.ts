import { type Artifact, cutModel, Evaluator, Random, sampleSize, type View } from '@ecavg/models';
import { encodeShare, type Manifest, makeLayout, type ShareHeader, type Signer, sha256Hex } from '@ecavg/protocol';
import type { UplinkConfig } from './config.js';
import type { EdgeStore } from './edgeStore.js';

/** Samples that are put through the model at once. */
const BATCH = 256;

/** What this site gives to the cloud, where it opted in and the cloud asks. */
export class Sharing {
  constructor(
    private readonly config: Pick<UplinkConfig, 'share' | 'fleet' | 'edge' | 'model' | 'data'>,
    private readonly local: { readonly train: View },
    private readonly store: EdgeStore,
    private readonly signer: Signer,
  ) {}

  /** The blobs that a version asks for; samples once, activations of every version. */
  async wanted({ share }: Manifest, artifact: Artifact): Promise<{ id: string; blob: Uint8Array; kind: Kind }[]> {
    const blobs: { id: string; blob: Uint8Array; kind: Kind }[] = [];
    const add = (kind: Kind, blob: Uint8Array): void => void blobs.push({ id: sha256Hex(blob), blob, kind });
    const samples = Math.min(share?.samples ?? 0, this.config.share.samples);
    if (samples > 0 && (await this.store.sharedSamples()) < samples) {
      const view = this.#some(samples);
      const { shape } = view.data;
      add('samples', this.#encode('samples', artifact, shape, read(view), labelsOf(view)));
    }
    const { features } = share ?? {};
    const count = Math.min(features?.samples ?? 0, this.config.share.features);
    if (features && count > 0) {
      const view = this.#some(count);
      const { shape, values } = await activations(artifact, features.layer, view);
      add('features', this.#encode('features', artifact, shape, values, labelsOf(view), features.layer));
    }
    return blobs;
  }

  /** The cloud has the samples: they are not sent again. */
  async given(kind: Kind): Promise<void> {
    if (kind === 'samples') await this.store.rememberSharedSamples(this.config.share.samples);
  }

  /** The same ones each time: a site that gives 100 samples gives away 100, and no more with every round. */
  #some(count: number): View {
    const { train } = this.local;
    const order = new Random(this.config.data.seed, `share/${this.config.edge}`).shuffle(train.indices.slice());
    return { data: train.data, indices: order.slice(0, count) };
  }

  #encode(
    kind: Kind,
    { sha256 }: Artifact,
    shape: readonly number[],
    values: Float32Array,
    labels: Int32Array,
    layer?: string,
  ): Uint8Array {
    const { fleet, edge, model } = this.config;
    const header = { fleet, edge, model, base: sha256, kind, shape: [...shape], createdAt: Date.now() };
    return encodeShare({ ...header, ...(layer !== undefined && { layer }) }, { values, labels }, this.signer);
  }
}

export type Kind = ShareHeader['kind'];

const labelsOf = ({ data, indices }: View): Int32Array => indices.map((i) => data.labels[i] as number);

function read({ data, indices }: View): Float32Array {
  const size = sampleSize(data);
  const values = new Float32Array(indices.length * size);
  for (const [n, index] of indices.entries()) data.read(index, values, n * size);
  return values;
}

/** What a version computes at a value of its graph. */
async function activations(
  { model, info }: Artifact,
  layer: string,
  view: View,
): Promise<{ shape: readonly number[]; values: Float32Array }> {
  const sample = info.input.shape.slice(1);
  const { body, shape } = await cutModel(model, layer, sample);
  const size = shape.reduce((a, d) => a * d, 1);
  const values = new Float32Array(view.indices.length * size);
  const evaluator = await Evaluator.create(body, makeLayout([]));
  try {
    for (let from = 0; from < view.indices.length; from += BATCH) {
      const indices = view.indices.subarray(from, from + BATCH);
      const x = read({ data: view.data, indices });
      values.set(await evaluator.run(new Float32Array(), x, [indices.length, ...sample]), from * size);
    }
  } finally {
    await evaluator.release();
  }
  return { shape, values };
}
