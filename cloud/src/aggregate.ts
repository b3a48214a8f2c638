import { readFile } from 'node:fs/promises';
import type { Artifact } from '@ecavg/models';
import { codec, decodeUpdate } from '@ecavg/protocol';
import type { References } from './references.js';
import type { Accepted } from './roundStore.js';

/**
 * FedAvg (McMahan et al. 2017, Algorithm 1): w + sum_k (n_k / n) D_k over the accepted updates D_k of edges
 * with n_k samples. Updates are read, decoded and added one at a time: memory does not grow with
 * the number of edges. Edges are taken in the order of their names, so the sum is the same each time.
 * @returns `layout.total` new weights.
 */
export async function federatedAverage(
  base: Artifact,
  updates: readonly Accepted[],
  references: References,
): Promise<Float32Array> {
  const total = updates.reduce((sum, u) => sum + u.header.samples, 0);
  const average = base.weights.slice();
  for (const update of [...updates].sort((a, b) => (a.header.edge < b.header.edge ? -1 : 1))) {
    const { header, payload } = decodeUpdate(await readFile(update.path));
    const coder = codec(header.codec);
    const used = coder.referenceOf?.(payload);
    const reference = used ? await references.get(header.edge, used, base.layout.total) : undefined;
    coder.accumulate(payload, base.layout, header.samples / total, average, reference);
  }
  return average;
}
