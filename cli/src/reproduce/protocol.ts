import {
  type DataSet,
  extractWeights,
  matchWeights,
  permutationGroups,
  Random,
  type View,
  zooModel,
} from '@ecavg/models';
import { codec, encodeWithFeedback, PRESETS } from '@ecavg/protocol';
import type { Lab } from './lab.js';

export interface Settings {
  readonly model: string;
  readonly edges: number;
  readonly split: 'iid' | 'skew';
  readonly localEpochs: number;
  readonly serverEpochs: number;
  readonly learningRate: number;
  readonly serverLearningRate: number;
  readonly seed: number;
}

/** One way to a common model, measured on the test set; accuracies in [0, 1]. */
export interface Row {
  readonly method: string;
  readonly edgesBefore: readonly number[];
  /** The server's model before it is fine-tuned: the average, or the best edge's weights. */
  readonly average: number;
  /** After the server's fine-tuning on the combined data. */
  readonly server: number;
  readonly edgesAfter: readonly number[];
  /** Bytes of all updates. */
  readonly bytesUp: number;
  /** Accuracy of the average and of the server's model on the guard's samples, which nobody trained on. */
  readonly guard: { readonly average: number; readonly server: number };
}

export interface Outcome {
  readonly rows: readonly Row[];
  /** What the guard publishes: the best of all averages and tuned models on its samples, never worse than the edges' own there. */
  readonly chosen: { readonly method: string; readonly tuned: boolean; readonly accuracy: number };
  readonly trainingSeconds: number;
}

/** Share of the training set that the guard judges on. */
const GUARD_SHARE = 0.05;

/**
 * The samples of each edge: `iid` deals them out evenly; `skew` gives edge k nine tenths of every k-th share of the
 * classes and one tenth of the others, spread evenly.
 */
export function dealSamples(data: DataSet, indices: Int32Array, { edges, split, seed }: Settings): Int32Array[] {
  const random = new Random(seed, 'reproduce/split');
  const parts: number[][] = Array.from({ length: edges }, () => []);
  random.shuffle(indices.slice()).forEach((index, i) => {
    const home = Math.floor(((data.labels[index] as number) * edges) / data.classes.length);
    const at = split === 'iid' ? i % edges : random.uniform() < 0.9 ? home : random.int(edges);
    parts[at]?.push(index);
  });
  return parts.map((p) => Int32Array.from(p).sort());
}

/**
 * The paper's protocol (Mih et al., arXiv:2310.03823: edges train by themselves, the server averages their weights, fine-tunes the
 * average on the combined data, edges take it) with edges that start from different weights, and beside it the same with units matched,
 * with a common start as this project does it, and without averaging.
 */
export async function runProtocol(lab: Lab, train: DataSet, test: DataSet, settings: Settings): Promise<Outcome> {
  const { model, edges, seed, localEpochs, serverEpochs } = settings;
  const { layout, info } = lab.artifact;
  const order = new Random(seed, 'reproduce/guard').shuffle(Int32Array.from({ length: train.length }, (_, i) => i));
  const cut = Math.round(train.length * GUARD_SHARE);
  const guard: View = { data: train, indices: order.slice(0, cut).sort() };
  const shards = dealSamples(train, order.slice(cut), settings);
  const pooled: View = { data: train, indices: Int32Array.from(shards.flatMap((s) => [...s])).sort() };
  const everything: View = { data: test, indices: Int32Array.from({ length: test.length }, (_, i) => i) };
  const start = (n: number): Float32Array =>
    extractWeights(zooModel(model, { input: train.shape, classes: train.classes.length, seed: n }), layout);
  const shares = shards.map((s) => s.length / pooled.indices.length);

  const local = async (name: string, from: (k: number) => Float32Array): Promise<Float32Array[]> => {
    const all: Float32Array[] = [];
    for (const [k, indices] of shards.entries()) {
      const what = `edge ${k + 1}, ${name}`;
      const view = { data: train, indices };
      const { learningRate } = settings;
      all.push(
        await lab.train({ what, start: from(k), view, epochs: localEpochs, learningRate, seed: seed * 100 + k }),
      );
    }
    return all;
  };
  const server = (name: string, from: Float32Array): Promise<Float32Array> => {
    const what = `server, ${name}`;
    const plan = { epochs: serverEpochs, learningRate: settings.serverLearningRate, seed: seed * 100 + 99 };
    return lab.train({ what, start: from, view: pooled, ...plan });
  };
  const scores = (all: readonly Float32Array[]): Promise<number[]> =>
    Promise.all(all.map((w) => lab.accuracy(w, everything)));
  const row = async (method: string, before: readonly number[], from: Float32Array, bytesUp: number): Promise<Row> => {
    const tuned = await server(method, from);
    const after = await lab.accuracy(tuned, everything);
    return {
      method,
      edgesBefore: before,
      average: await lab.accuracy(from, everything),
      server: after,
      edgesAfter: shards.map(() => after),
      bytesUp,
      guard: { average: await lab.accuracy(from, guard), server: await lab.accuracy(tuned, guard) },
    };
  };

  const own = await local('its own start', (k) => start(seed * 100 + k + 1));
  const ownScores = await scores(own);
  const float32 = layout.total * 4 * edges;
  const plain = weightedSum(own, shares);
  const rows = [await row('plain average (the paper)', ownScores, plain, float32)];

  const groups = await permutationGroups(lab.artifact.model, train.shape);
  const buffers = info.buffers.map((b) => b.name);
  const match = async (all: readonly Float32Array[]): Promise<Float32Array> => {
    const [first] = all as [Float32Array];
    const aligned = [first];
    for (const w of all.slice(1))
      aligned.push((await matchWeights(layout, groups, first, w, { buffers, seed })).weights);
    return lab.refresh(weightedSum(aligned, shares), pooled, seed);
  };
  rows.push(await row('matched average', ownScores, await match(own), float32));

  const base = start(seed * 100);
  const shared = await local('common start', () => base);
  const sharedScores = await scores(shared);
  const { decoded, bytes } = throughCodec(lab, base, shared);
  rows.push(await row('common start', sharedScores, weightedSum(decoded, shares), bytes));
  rows.push(await row('common start, matched (ours)', sharedScores, await match(decoded), bytes));

  const best = own[ownScores.indexOf(Math.max(...ownScores))] as Float32Array;
  rows.push(await row('best edge, not averaged', ownScores, best, float32 / edges));
  return { rows, chosen: choose(rows), trainingSeconds: lab.seconds };
}

function choose(rows: readonly Row[]): Outcome['chosen'] {
  const candidates = rows.flatMap(({ method, guard, average, server }) => [
    { method, tuned: false, accuracy: average, guard: guard.average },
    { method, tuned: true, accuracy: server, guard: guard.server },
  ]);
  const { method, tuned, accuracy } = candidates.reduce((a, b) => (b.guard > a.guard ? b : a));
  return { method, tuned, accuracy };
}

function weightedSum(all: readonly Float32Array[], shares: readonly number[]): Float32Array {
  const sum = new Float32Array(all[0]?.length ?? 0);
  for (const [k, w] of all.entries())
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (shares[k] as number) * (w[i] as number);
  return sum;
}

/** What the cloud decodes of the edges' coded updates, and the bytes of these. */
function throughCodec(
  { artifact: { layout } }: Lab,
  base: Float32Array,
  all: readonly Float32Array[],
): { decoded: Float32Array[]; bytes: number } {
  // One round has no next one that could bring what coarse steps left out.
  const coder = codec('range');
  let bytes = 0;
  const decoded = all.map((w) => {
    const delta = w.map((v, i) => v - (base[i] as number));
    const { payload } = encodeWithFeedback(coder, delta, {}, layout, PRESETS.fine);
    bytes += payload.length;
    const sum = base.slice();
    coder.accumulate(payload, layout, 1, sum);
    return sum;
  });
  return { decoded, bytes };
}
