import { type Artifact, batchNormTensors, headTensors, matches } from '@ecavg/models';
import { ArgumentError } from '@ecavg/protocol/errors';
import type { EdgeStore } from '../uplink/edgeStore.js';
import type { TrainConfig } from './config.js';

/** Which tensors stay: batch normalisation, the head, and others by name. */
export type LocalChoice = Pick<TrainConfig, 'localBatchNorm' | 'localHead' | 'localTensors'>;

/**
 * Tensors that stay on the gateway: they are no part of its updates, and replace those of every model that arrives.
 * - Batch normalisation (FedBN: Li et al. 2021, arXiv:2102.07623, section 3): scale, shift and statistics, so that each gateway keeps the
 *   scale of its own sensors.
 * - The last layer (FedPer: Arivazhagan et al. 2019, arXiv:1912.00818): a common body, and classes as they look here.
 */
export class LocalTensors {
  private constructor(
    private readonly store: EdgeStore,
    private readonly layout: string,
    /** Where they lie in the flat weights: [start, end). */
    private readonly ranges: readonly (readonly [number, number])[],
    private values: Float32Array | undefined,
  ) {}

  /**
   * Takes up what an earlier run kept for a model of the same layout.
   * @throws RangeError where nothing is left to share.
   */
  static async open(store: EdgeStore, artifact: Artifact, choice: LocalChoice): Promise<LocalTensors> {
    const { graph } = artifact.model;
    const all = new Set(artifact.layout.tensors.map((t) => t.name));
    const names = new Set([
      ...(graph && choice.localBatchNorm ? batchNormTensors(graph) : []),
      ...(graph && choice.localHead ? headTensors(graph, all) : []),
      ...[...all].filter((name) => matches(choice.localTensors, name)),
    ]);
    const ranges = artifact.layout.tensors
      .filter((t) => names.has(t.name))
      .map(({ offset, length }): [number, number] => [offset, offset + length]);
    if (ranges.length === all.size)
      throw new ArgumentError(
        'ECAVG_CONFIG_COMBINATION',
        'every tensor of the model is local: there is nothing to share; change train.local...',
      );
    const kept = await store.localTensors(artifact.layout.hash);
    const length = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
    return new LocalTensors(store, artifact.layout.hash, ranges, kept?.length === length ? kept : undefined);
  }

  /** Whether the model has none of the tensors that should stay. */
  get empty(): boolean {
    return this.ranges.length === 0;
  }

  /** The weights with this gateway's own tensors; as they are where it has none yet. */
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

  /** Takes them out of an update. */
  exclude(delta: Float32Array): void {
    for (const [start, end] of this.ranges) delta.fill(0, start, end);
  }

  /** Remembers those of weights that were trained here, on disk. */
  async keep(weights: Float32Array): Promise<void> {
    if (this.empty) return;
    const parts = this.ranges.flatMap(([start, end]) => [...weights.subarray(start, end)]);
    this.values = Float32Array.from(parts);
    await this.store.saveLocalTensors(this.layout, this.values);
  }
}
