import type { Loss } from '@ecavg/models';

/** A model to be put into service. */
export interface Servable {
  /** Inference model with its weights. */
  readonly onnx: Uint8Array;
  readonly loss: Loss;
  /** Of one sample. */
  readonly shape: readonly number[];
  readonly version: number;
  /** Whether it is this gateway's own: trained, blended or tuned here from that version. */
  readonly own: boolean;
  /** Score above which a sample is an anomaly, where an earlier run has found it. */
  readonly threshold?: number | undefined;
}
