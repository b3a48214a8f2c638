import type { Objection } from './canary.js';

type Words = { readonly [C in Objection['code']]: (o: Extract<Objection, { code: C }>) => string };

const OBJECTIONS: Words = {
  'too-few-reports': ({ reports, needed }) => `${reports} of the ${needed} reports that are needed came in time`,
  'edges-lost': ({ meanChange, tolerance }) =>
    `the edges lost ${(-100 * meanChange).toFixed(1)} points on average; the tolerance is ${100 * tolerance}`,
  'edges-hurt': ({ hurt, reports }) => `${hurt.length} of ${reports} edges were hurt: ${hurt.join(', ')}`,
};

/** Why a version is withdrawn, as the log and the event `canary-decided` say it to people. */
export const objectionText = (o: Objection): string => (OBJECTIONS[o.code] as (o: Objection) => string)(o);
