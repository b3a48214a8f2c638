import type { TfjsFigures } from './tfjs.js';

export interface TrainFigures {
  readonly model: string;
  readonly threads: number;
  readonly batch: number;
  /** Median time of a whole step: forward, loss, backward, SGD with momentum. */
  readonly stepMs: number;
  readonly forwardMs: number;
  readonly stepToForward: number;
  readonly samplesPerSecond: number;
  /** Three forward passes' worth of arithmetic in the time of a step. */
  readonly gflops: number;
  /** A product of two 1024 x 1024 matrices in the same process. */
  readonly matmulGflops: number;
  readonly peakRssMb: number;
}

/** A model with what its peers took. */
export interface TrainRow extends TrainFigures {
  readonly tfjs: readonly (TfjsFigures & { speedup: number | undefined })[];
  readonly pytorch?: { stepMs: number; peakRssMb: number };
  readonly stepToPyTorch?: number;
  readonly memoryToPyTorch?: number;
}
