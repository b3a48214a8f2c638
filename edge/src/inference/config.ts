import { z } from 'zod';

export const inferSchema = z
  .strictObject({
    /** Answers requests on edge/{edge}/infer/{model}/request, and windows of the gateway's own stream. */
    enabled: z.boolean().default(true),
    /** Publishes a result for every window of the gateway's own stream. */
    stream: z.boolean().default(true),
    /** Most samples that go through the model at once. */
    batch: z.int().min(1).max(1024).default(32),
    /** Requests that may wait; further ones are answered with "overloaded". */
    queue: z.int().min(1).max(1_000_000).default(1000),
    threads: z.int().min(1).max(256).default(1),
    /** Share of usual samples that may be called an anomaly. */
    falseAlarmRate: z.number().gt(0).lt(1).default(0.01),
    /** How often requests, latencies and anomalies are reported. */
    reportSeconds: z.number().min(1).max(86_400).default(60),
  })
  .prefault({});
export type InferConfig = z.output<typeof inferSchema>;
