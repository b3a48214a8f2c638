import { dataConfigSchema, ENGINES, recordingsSchema, SCHEDULES, ZOO } from '@ecavg/models';
import { CODECS, type CodecOptions, IDENTIFIER, PRESET_NAMES, presetOptions } from '@ecavg/protocol';
import { brokerSchema, CREDENTIALS, logSchema, withoutCredentials } from '@ecavg/runtime';
import { z } from 'zod';
import { COMBINERS } from './aggregation/combine.js';
import { SERVER_OPTIMIZERS } from './aggregation/serverOptimizer.js';
import { WEIGHTING_DEFAULTS, WEIGHTINGS } from './aggregation/weighting.js';
import { SELECTIONS } from './fleet/selection.js';

const identifier = z.string().regex(IDENTIFIER, 'use 1-64 letters, digits, "_", "-" or "."');
const share = z.number().gt(0).lt(1);
const names = (of: object): [string, ...string[]] => Object.keys(of) as [string, ...string[]];

/** Hosts that only this machine reaches. */
export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', 'localhost'];

const trainSchema = {
  learningRate: z.number().gt(0).default(0.05),
  momentum: z.number().min(0).lt(1).default(0.9),
};

export const cloudConfigSchema = z.strictObject({
  fleet: identifier.default('default'),
  dataDir: z.string().min(1),
  broker: brokerSchema,
  log: logSchema,
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      /** 0 takes a free port. */
      port: z.int().min(0).max(65535).default(8080),
      /** What somebody may do who has not signed in: nothing, look (viewer), or everything (operator, on the loopback address only). */
      anonymous: z.enum(['none', 'viewer', 'operator']).default('none'),
      /** Behind a reverse proxy, whose X-Forwarded headers are then believed. */
      trustProxy: z.boolean().default(false),
    })
    .refine(({ host, anonymous }) => anonymous !== 'operator' || LOOPBACK.includes(host), {
      path: ['anonymous'],
      message: `operator is for a host of ${LOOPBACK.join(', ')} only: take viewer or none, and add users with "ecavg cloud user add"`,
    })
    .prefault({}),
  model: z.strictObject({
    id: identifier,
    /** An architecture of the zoo, with new weights ... */
    architecture: z.enum(names(ZOO)).default('mlp'),
    /** ... or a float32 `.onnx` of your own. */
    file: z.string().optional(),
    seed: z.int().min(0).default(1),
    /** Of every training, on every node. Models that rebuild their input hardly learn with sgd; adamw wants learning rates near 0.003 to 0.01. */
    optimizer: z.enum(['sgd', 'adamw']).default('sgd'),
    /** Samples in a training step, on every node. */
    batch: z.int().min(1).max(65_536).default(32),
  }),
  /** Where the reference samples come from: the cloud's own, never an edge's. */
  data: dataConfigSchema
    .unwrap()
    .extend({
      /** Recordings of a stream, in CSV files, to tune and judge on. */
      reference: recordingsSchema.optional(),
    })
    .prefault({}),
  rounds: z
    .strictObject({
      /** How many rounds to run; 0 goes on for ever. */
      count: z.int().min(0).default(0),
      /** A round opens at least this long after the one before opened. */
      intervalSeconds: z.number().min(0).max(2_000_000).default(60),
      /** Edges that must be online before a round opens. */
      minEdges: z.int().min(1).default(1),
      /** sync: everybody trains from one version. async: each at its own pace, and every `buffer` updates make a version (FedBuff). */
      mode: z.enum(['sync', 'async']).default('sync'),
      /** Updates that make a version in asynchronous rounds. */
      buffer: z.int().min(1).max(100_000).default(10),
      /** Versions that an update may lie behind in asynchronous rounds. */
      maxStaleness: z.int().min(0).max(18).default(10),
      /** Share of the wanted updates that are needed to close at the deadline. */
      quorum: z.number().gt(0).max(1).default(0.6),
      deadlineSeconds: z.number().min(0.1).default(300),
      /** Edges whose data must have drifted for the next round to open before its interval is over; 0: never. */
      driftEdges: z.int().min(0).default(1),
      /** How long to wait for the edges' reports on a new version before the next round opens. */
      settleSeconds: z.number().min(0).default(30),
      /** Local epochs in the first round, where every edge starts from the initial model. */
      pretrainEpochs: z.int().min(1).default(10),
      epochs: z.int().min(1).default(2),
      ...trainSchema,
    })
    .prefault({}),
  /** Who is asked to train in a synchronous round. */
  selection: z
    .strictObject({
      policy: z.enum(SELECTIONS).default('all'),
      /** Updates that a round wants; 0: one of every edge that is online. */
      count: z.int().min(0).default(0),
      /** So many times as many edges are asked, and the round closes with the first that answer. */
      overSelect: z.number().min(1).max(10).default(1.3),
    })
    .prefault({}),
  /** How updates become one: weighting x combiner x server optimiser (docs/strategies.md). */
  strategy: z
    .strictObject({
      weighting: z.array(z.enum(WEIGHTINGS)).default(['samples']),
      weightingOptions: z
        .strictObject({
          discrepancyScale: z.number().min(0).default(WEIGHTING_DEFAULTS.discrepancyScale),
          discrepancyShift: z.number().min(0).default(WEIGHTING_DEFAULTS.discrepancyShift),
          polynomialExponent: z.number().min(0).default(WEIGHTING_DEFAULTS.polynomialExponent),
          hingeSlope: z.number().min(0).default(WEIGHTING_DEFAULTS.hingeSlope),
          hingeThreshold: z.number().min(0).default(WEIGHTING_DEFAULTS.hingeThreshold),
        })
        .prefault({}),
      combiner: z.enum(COMBINERS).default('mean'),
      /** Share of the smallest and of the largest values that the trimmed mean leaves out. */
      trim: z.number().min(0).lt(0.5).default(0.2),
      /** Edges that may be hostile: what multi-Krum guards against. It needs 2 f + 3 updates. */
      hostile: z.int().min(0).default(1),
      /** An update longer than this many times the median length is shortened to it; 0 never. */
      clip: z.number().min(0).default(3),
      server: z
        .strictObject({
          name: z.enum(SERVER_OPTIMIZERS).default('none'),
          learningRate: z.number().gt(0).default(1),
          momentum: z.number().min(0).lt(1).default(0.9),
          beta1: z.number().min(0).lt(1).default(0.9),
          beta2: z.number().min(0).lt(1).default(0.99),
          tau: z.number().gt(0).default(1e-3),
        })
        .prefault({}),
    })
    .prefault({}),
  publish: z
    .strictObject({
      /** How coarsely the step to a new version is coded; where that would cost accuracy, it is coded without loss. */
      difference: z.enum(['lossless', 'fine', 'balanced', 'tight']).default('fine'),
      /** A model of at most this size is also published in one message, for sensors that make one subscription. */
      wholeBytes: z.int().min(0).max(268_435_455).default(1_048_576),
    })
    .prefault({}),
  codec: z
    .strictObject({
      /** What `range` does: lossless, balanced, tight, extreme, or auto, where each edge takes what its link carries. */
      preset: z.enum(PRESET_NAMES).default('balanced'),
      /** Another codec, without presets. */
      name: z.enum(names(CODECS)).default('range'),
      /** Single options over the preset's. */
      options: z.record(z.string(), z.number()).default({}),
    })
    .prefault({}),
  fineTune: z
    .strictObject({
      epochs: z.int().min(0).default(3),
      ...trainSchema,
      learningRate: z.number().gt(0).default(0.01),
      /** Share of the reference samples to tune on; the guard judges on the others. */
      share: share.default(0.6),
      schedule: z.enum(SCHEDULES).default('constant'),
      /** Parameters that stay as the average has them, by name; `*` for any text. */
      freeze: z.array(z.string().min(1)).default([]),
      /** Pull towards the average: l2 / 2 |w - average|^2 is added to the loss. */
      l2: z.number().min(0).default(0),
      earlyStop: z
        .strictObject({
          /** Ends after so many epochs without a smaller loss on samples that are held back, and takes the best; 0: never. */
          patience: z.int().min(0).default(0),
          share: share.default(0.2),
        })
        .prefault({}),
      /** Budget of one fine-tuning; 0: none. */
      maxSteps: z.int().min(0).default(0),
      maxSeconds: z.number().min(0).default(0),
      /** Knowledge distillation: the edges' own models teach beside the labels. */
      distill: z
        .strictObject({
          /** Of the edges' word, in [0, 1]; 0: labels alone. */
          weight: z.number().min(0).max(1).default(0),
          /** The edges that count most. */
          teachers: z.int().min(1).default(8),
        })
        .prefault({}),
      /** Raw samples that each edge is asked for, from sites that opt in (their share.samples). */
      samples: z.int().min(0).max(1_000_000).default(0),
      /** Activations that each edge is asked for of every version, from sites that opt in (their share.features): the head is tuned on them. */
      features: z
        .strictObject({
          samples: z.int().min(0).max(1_000_000).default(0),
          /** A value of the model's graph; default: what enters the last layer. */
          layer: z.string().min(1).optional(),
          epochs: z.int().min(1).default(5),
          learningRate: z.number().gt(0).default(0.02),
          l2: z.number().min(0).default(0.01),
        })
        .prefault({}),
    })
    .prefault({}),
  guard: z
    .strictObject({
      /** How much accuracy on the guard's samples a new version may lose, in [0, 1]. */
      tolerance: z.number().min(0).max(1).default(0.01),
      /** What is tried, in this order, before the previous version is kept. */
      ladder: z.array(z.enum(['realign', 'leave-out', 'shrink'])).default(['realign', 'leave-out', 'shrink']),
      /** Edges that are tried to be left out, the most suspect ones. */
      suspects: z.int().min(1).default(4),
      /** Edges whose own models are measured each round, those that count most. */
      measured: z.int().min(0).default(4),
    })
    .prefault({}),
  /** A new version goes to a share of the edges first, and their reports decide. */
  canary: z
    .strictObject({
      /** 0: no trial. */
      share: z.number().min(0).max(1).default(0),
      /** Reports without which the version is withdrawn. */
      minReports: z.int().min(1).default(1),
      waitSeconds: z.number().min(0.1).max(2_000_000).default(300),
      /** Accuracy that the trying edges may lose on average, on their own validation samples, in [0, 1]. */
      tolerance: z.number().min(0).max(1).default(0.01),
      /** An edge that loses more than this is hurt, and at most this share of them may be. */
      hurtTolerance: z.number().min(0).max(1).default(0.05),
      maxHurt: z.number().min(0).max(1).default(0.34),
    })
    .prefault({}),
  /** What fine-tunes. ort: ONNX Runtime. tfjs-node: TensorFlow, where `@tensorflow/tfjs-node` is installed. */
  engine: z.enum(ENGINES).default('ort'),
  threads: z.int().min(1).max(256).default(1),
  enrolment: z
    .strictObject({
      /** open: the first key seen for an edge is kept. token: an edge must show a token of `ecavg cloud token` first. */
      mode: z.enum(['open', 'token']).default('open'),
    })
    .prefault({}),
  telemetry: z
    .strictObject({
      /** How often process, disk and broker are measured. */
      healthSeconds: z.number().min(1).max(86_400).default(60),
      /** InfluxDB to write to; without one, points go to an embedded store in dataDir. */
      influx: z
        .strictObject({
          url: z.url({ protocol: /^https?$/ }).refine(withoutCredentials, CREDENTIALS),
          database: z.string().min(1).default('ecavg'),
          username: z.string().optional(),
          passwordFile: z.string().optional(),
          /** Most of what waits on disk while InfluxDB is away; beyond it the oldest points go. */
          spoolMegabytes: z.number().gt(0).default(64),
          /** Made on first contact (InfluxDB 1.x): how long points stay as they came, and their means over some minutes; null: left to you. */
          retention: z
            .strictObject({
              rawDays: z.int().min(1).default(30),
              longDays: z.int().min(1).default(730),
              everyMinutes: z.int().min(1).default(60),
            })
            .nullable()
            .prefault({}),
        })
        .optional(),
    })
    .prefault({}),
});

export type CloudConfig = z.output<typeof cloudConfigSchema>;

/** The codec's name and all its options, from preset and single settings. */
export function codecOptions({ codec }: CloudConfig): { name: string; options: CodecOptions } {
  const { name, preset, options } = codec;
  return { name, options: name === 'range' ? { ...presetOptions(preset), ...options } : options };
}

/** Whether the samples are simulated, which whoever sees figures of them is told. */
export const isSimulated = ({ data }: CloudConfig): boolean =>
  data.dataset === 'vibration' && data.stream === undefined;
