import { z } from 'zod';

/** `rounds`: when a round opens and closes, and what edges do in it. */
export const roundsSchema = z
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
    learningRate: z.number().gt(0).default(0.05),
    momentum: z.number().min(0).lt(1).default(0.9),
  })
  .prefault({});
export type RoundsConfig = z.output<typeof roundsSchema>;
