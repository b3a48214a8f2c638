import { z } from 'zod';
import { SELECTIONS } from './selection.js';

/** `selection`: who is asked to train in a synchronous round. */
export const selectionSchema = z
  .strictObject({
    policy: SELECTIONS.schema.default('all'),
    /** Updates that a round wants; 0: one of every edge that is online. */
    count: z.int().min(0).default(0),
    /** So many times as many edges are asked, and the round closes with the first that answer. */
    overSelect: z.number().min(1).max(10).default(1.3),
  })
  .prefault({});
export type SelectionConfig = z.output<typeof selectionSchema>;

/** `enrolment`: how the cloud comes to know the keys of gateways. */
export const enrolmentSchema = z
  .strictObject({
    /** open: the first key seen for an edge is kept. token: an edge must show a token of `ecavg cloud token` first. */
    mode: z.enum(['open', 'token']).default('open'),
  })
  .prefault({});
export type EnrolmentConfig = z.output<typeof enrolmentSchema>;
