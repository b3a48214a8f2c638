import { type Artifact, batchNormTensors } from '@ecavg/models';
import type { EdgeStore } from './store.js';

/**
 * FedBN (Li et al. 2021, arXiv:2102.07623, section 3): scale, shift and statistics of batch normalisation stay on
 * the gateway, so that each keeps the scale of its own sensors. They are no part of its updates, and replace
 * those of every model that arrives.
 */
export class LocalNorm {
  private constructor(
    private readonly store: EdgeStore,
    private readonly layout: string,
    /** Where they lie in the flat weights: [start, end). */
    private readonly ranges: readonly (readonly [number, number])[],
    private values: Float32Array | undefined,
  ) {}

  /** Takes up what an earlier run kept for a model of the same layout. */
  static async open(store: EdgeStore, artifact: Artifact): Promise<LocalNorm> {
    const { graph } = artifact.model;
    const names = new Set(graph ? batchNormTensors(graph) : []);
    const ranges = artifact.layout.tensors
      .filter((t) => names.has(t.name))
      .map(({ offset, length }): [number, number] => [offset, offset + length]);
    const kept = await store.localTensors(artifact.layout.hash);
    const length = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
    return new LocalNorm(store, artifact.layout.hash, ranges, kept?.length === length ? kept : undefined);
  }

  /** Whether the model has any batch normalisation that is trained. */
  get empty(): boolean {
    return this.ranges.length === 0;
  }

  /** The weights with this gateway's own normalisation; as they are where it has none yet. */
  apply(weights: Float32Array): Float32Array {
    if (!this.values) return weights;
    const own = weights.slice();
    let at = 0;
    for (const [start, end] of this.ranges) {
      own.set(this.values.subarray(at, at + end - start), start);
      at += end - start;
    }
    return own;
  }

  /** Takes normalisation out of an update. */
  exclude(delta: Float32Array): void {
    for (const [start, end] of this.ranges) delta.fill(0, start, end);
  }

  /** Remembers the normalisation of weights that were trained here, on disk. */
  async keep(weights: Float32Array): Promise<void> {
    if (this.empty) return;
    const parts = this.ranges.flatMap(([start, end]) => [...weights.subarray(start, end)]);
    this.values = Float32Array.from(parts);
    await this.store.saveLocalTensors(this.layout, this.values);
  }
}
