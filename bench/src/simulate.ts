import {
  createTrainer,
  Evaluator,
  loadDataSet,
  partitionDirichlet,
  prepareArtifact,
  standardSplit,
  zooModel,
} from '@ecavg/models';
import { type Carried, type CodecOptions, codec, encodeWithFeedback, type Reference } from '@ecavg/protocol';

export interface SimulationOptions {
  readonly model: string;
  readonly edges: number;
  /** Dirichlet concentration of labels over edges. */
  readonly alpha: number;
  readonly rounds: number;
  /** Local epochs of the first round, and of the others. */
  readonly epochs: readonly [number, number];
  readonly learningRate: number;
  readonly seed: number;
  readonly codec: { readonly name: string; readonly options: CodecOptions };
  /** Without it what the codec drops is lost. */
  readonly feedback?: boolean;
  /** Receives every edge's difference, before the codec. */
  readonly onUpdate?: (round: number, edge: number, delta: Float32Array) => void;
}

export interface Simulation {
  /** On the test set, after each round, in [0, 1]. */
  readonly accuracy: readonly number[];
  /** Bytes of update payloads up to and with each round, all edges. */
  readonly bytes: readonly number[];
  /** Bits a weight of one update, mean over all rounds. */
  readonly bitsPerWeight: number;
}

/** Federated averaging of edges in one process, without a broker: real training, codec and error feedback. */
export async function simulate(o: SimulationOptions): Promise<Simulation> {
  const data = loadDataSet('mnist', { sites: 1, seed: 1 });
  const split = standardSplit(data, 1);
  const shards = partitionDirichlet(data, split.train, o.edges, o.alpha, o.seed);
  const model = zooModel(o.model, { input: data.shape, classes: data.classes.length, seed: o.seed });
  const artifact = await prepareArtifact(model, { loss: 'cross-entropy', batch: 32, sample: data.shape });
  const { layout } = artifact;
  const trainer = await createTrainer(artifact, { engine: 'ort', threads: 1 });
  const evaluator = await Evaluator.create(artifact.model, layout, 1);
  const coder = codec(o.codec.name);
  const temporal = o.codec.options.temporal === 1;
  const carried: Carried[] = shards.map(() => ({}));
  const references: (Reference | undefined)[] = shards.map(() => undefined);
  const total = shards.reduce((sum, s) => sum + s.length, 0);
  let weights = artifact.weights.slice();
  const accuracy: number[] = [];
  const bytes: number[] = [];
  let sent = 0;
  for (let round = 1; round <= o.rounds; round++) {
    const next = weights.slice();
    for (const [k, indices] of shards.entries()) {
      trainer.setWeights(weights);
      const epochs = o.epochs[round === 1 ? 0 : 1];
      const seed = o.seed * 1_000_000 + round * 1000 + k;
      await trainer.train({ data, indices }, { epochs, learningRate: o.learningRate, momentum: 0.9, seed });
      const base = weights;
      const delta = trainer.getWeights().map((v, i) => v - (base[i] as number));
      o.onUpdate?.(round, k, delta);
      const reference = temporal ? references[k] : undefined;
      const coded = encodeWithFeedback(coder, delta, carried[k] ?? {}, layout, o.codec.options, reference);
      coder.accumulate(coded.payload, layout, indices.length / total, next, reference);
      if (o.feedback !== false) carried[k] = coded.ifAccepted;
      if (temporal) references[k] = coder.levels?.(coded.payload, layout, reference);
      sent += coded.payload.length;
    }
    weights = next;
    bytes.push(sent);
    accuracy.push((await evaluator.classify(weights, { data, indices: split.test })).accuracy);
  }
  await trainer.release();
  await evaluator.release();
  return { accuracy, bytes, bitsPerWeight: (sent * 8) / (layout.total * o.rounds * o.edges) };
}
