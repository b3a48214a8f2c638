import { tmpdir } from 'node:os';
import {
  cloudConfigSchema,
  combine,
  type ServerOptions,
  type ServerState,
  type StrategyOptions,
  serverStep,
  type Update,
  wantsOwnDifference,
} from '@ecavg/cloud';
import {
  createTrainer,
  type DataSet,
  Evaluator,
  labelHistogram,
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
  readonly alpha: number | 'iid';
  readonly rounds: number;
  /** Local epochs of the first round, and of the others. */
  readonly epochs: readonly [number, number];
  readonly learningRate: number;
  readonly seed: number;
  readonly codec: { readonly name: string; readonly options: CodecOptions };
  /** How updates become one; default: weighted by samples. */
  readonly strategy?: StrategyOptions & { readonly server: ServerOptions };
  /** FedProx: strength of the pull to the round's base. */
  readonly mu?: number;
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

/** A Dirichlet concentration at which all shards have all classes in equal parts. */
const IID = 1e5;

/** The cloud's defaults, without clipping. */
const { strategy: PLAIN } = cloudConfigSchema.parse({ dataDir: '-', model: { id: 'bench' }, strategy: { clip: 0 } });

/** The training samples of each edge. */
export function shardsOf(data: DataSet, { edges, alpha, seed }: Pick<SimulationOptions, 'edges' | 'alpha' | 'seed'>) {
  return partitionDirichlet(data, standardSplit(data, 1).train, edges, alpha === 'iid' ? IID : alpha, seed);
}

/** Federated averaging of edges in one process, without a broker: real training, codec and error feedback. */
export async function simulate(o: SimulationOptions): Promise<Simulation> {
  const data = loadDataSet('mnist', { sites: 1, seed: 1 });
  const split = standardSplit(data, 1);
  const shards = shardsOf(data, o);
  const model = zooModel(o.model, { input: data.shape, classes: data.classes.length, seed: o.seed });
  const artifact = await prepareArtifact(model, {
    loss: 'cross-entropy',
    batch: 32,
    sample: data.shape,
    ...(o.mu && { proximal: true }),
  });
  const { layout } = artifact;
  const trainer = await createTrainer(artifact, { engine: 'ort', threads: 1 });
  const evaluator = await Evaluator.create(artifact.model, layout, 1);
  const coder = codec(o.codec.name);
  const temporal = o.codec.options.temporal === 1;
  const carried: Carried[] = shards.map(() => ({}));
  const references: (Reference | undefined)[] = shards.map(() => undefined);
  let weights: Float32Array = artifact.weights.slice();
  let state: ServerState = {};
  const hyper = { learningRate: o.learningRate, momentum: 0.9, ...(o.mu && { mu: o.mu }) };
  const trained = async (indices: Int32Array, from: Float32Array, round: number): Promise<Float32Array> => {
    trainer.setWeights(from);
    await trainer.train({ data, indices }, { ...hyper, epochs: o.epochs[1], seed: o.seed * 1_000_000 + round });
    return trainer.getWeights().map((v, i) => v - (from[i] as number));
  };
  const accuracy: number[] = [];
  const bytes: number[] = [];
  let sent = 0;
  for (let round = 1; round <= o.rounds; round++) {
    const base = weights;
    const updates: Update[] = [];
    for (const [k, indices] of shards.entries()) {
      trainer.setWeights(weights);
      const epochs = o.epochs[round === 1 ? 0 : 1];
      const seed = o.seed * 1_000_000 + round * 1000 + k;
      const { steps } = await trainer.train({ data, indices }, { ...hyper, epochs, seed });
      const delta = trainer.getWeights().map((v, i) => v - (base[i] as number));
      o.onUpdate?.(round, k, delta);
      const reference = temporal ? references[k] : undefined;
      const coded = encodeWithFeedback(coder, delta, carried[k] ?? {}, layout, o.codec.options, reference);
      updates.push({
        about: {
          edge: `edge-${k}`,
          samples: indices.length,
          steps,
          labels: labelHistogram({ data, indices }),
          staleness: 0,
          reliability: 1,
        },
        addTo: async (sum, weight) => coder.accumulate(coded.payload, layout, weight, sum, reference),
      });
      if (o.feedback !== false) carried[k] = coded.ifAccepted;
      if (temporal) references[k] = coder.levels?.(coded.payload, layout, reference);
      sent += coded.payload.length;
    }
    const { server, ...strategy } = o.strategy ?? PLAIN;
    const own = wantsOwnDifference(strategy) ? await trained(split.reference, base, round) : undefined;
    const { difference } = await combine(updates, layout.total, strategy, tmpdir(), own);
    ({ weights, state } = serverStep(base, difference, server, state));
    bytes.push(sent);
    accuracy.push((await evaluator.evaluate(weights, { data, indices: split.test })).accuracy);
  }
  await trainer.release();
  await evaluator.release();
  return { accuracy, bytes, bitsPerWeight: (sent * 8) / (layout.total * o.rounds * o.edges) };
}
