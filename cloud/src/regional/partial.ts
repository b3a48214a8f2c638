import type { Artifact } from '@ecavg/models';
import {
  type CodecOptions,
  codec,
  encodeUpdate,
  encodeWithFeedback,
  type Signer,
  sha256Hex,
  type UpdateHeader,
} from '@ecavg/protocol';
import type { Names } from '@ecavg/runtime';
import type { Accepted } from '../inbox/roundStore.js';
import type { Aggregator } from '../judging/aggregator.js';
import type { PartialAggregate } from './upstreamStore.js';

/** How partial aggregates are coded. */
const CODEC = 'range';

/** What a partial aggregate is made of. */
interface Sum {
  /** What this region is called where the partial aggregate goes. */
  readonly names: Names;
  readonly round: number;
  /** The round's base. */
  readonly artifact: Artifact;
  /** A mean by samples, with no clipping: see `partial`. */
  readonly aggregator: Pick<Aggregator, 'aggregate'>;
  readonly updates: readonly Accepted[];
  /** What earlier ones could not bring; `layout.total` values. */
  readonly residual: Float32Array | undefined;
  readonly options: CodecOptions;
  readonly signer: Signer;
}

/**
 * A region's update: sum n_k D_k / N over its edges, with N as its samples. Weighted sums are associative, so that the cloud's mean of
 * regions is the mean of all edges. With a lossy coding, what is lost goes into the next one (error feedback, see encodeWithFeedback).
 */
export async function partial({ aggregator, ...sum }: Sum): Promise<PartialAggregate> {
  const { names, round, artifact, updates, residual, options, signer } = sum;
  const { layout, sha256: base } = artifact;
  const { weights } = await aggregator.aggregate(artifact, updates);
  const delta = weights.map((w, i) => w - (artifact.weights[i] as number));
  const own = { ...options, temporal: 0 };
  const coded = encodeWithFeedback(codec(CODEC), delta, residual ? { residual } : {}, layout, own);
  const blob = encodeUpdate(
    { ...names, round, base, codec: CODEC, layout: layout.hash, ...summary(updates.map((u) => u.header)) },
    coded.payload,
    signer,
  );
  const { residual: wanted } = coded.ifRejected;
  const { residual: left } = coded.ifAccepted;
  return {
    id: sha256Hex(blob),
    round,
    base,
    blob,
    ...(wanted && { wanted }),
    ...(left?.some((v) => v !== 0) && { left }),
  };
}

/** What the update says of its edges: means by samples. */
function summary(headers: readonly UpdateHeader[]): Pick<UpdateHeader, 'samples' | 'steps' | 'createdAt' | 'metrics'> {
  const samples = headers.reduce((a, h) => a + h.samples, 0);
  const mean = (get: (h: UpdateHeader) => number): number =>
    headers.reduce((a, h) => a + (h.samples / samples) * get(h), 0);
  return {
    samples,
    steps: Math.max(1, Math.round(mean((h) => h.steps))),
    createdAt: Date.now(),
    metrics: { edges: headers.length, loss: mean((h) => h.metrics.loss ?? 0), samples },
  };
}
