import type { ErrorCode } from '@ecavg/protocol';
import { ConfigError } from '@ecavg/runtime';
import type { ControlOutcome } from '../rounds/control.js';
import type { ControlAnswer } from '../versions/controlBox.js';

/** What people are told, in the dashboard and on the command line, of a command to a running cloud. */
type Words = { readonly [C in ControlOutcome['code']]: (o: Extract<ControlOutcome, { code: C }>) => ControlAnswer };

const done = (text: string): ControlAnswer => ({ done: true, text });
const refused = (error: ErrorCode, text: string): ControlAnswer => ({ done: false, text, error });
const inForce = ({ version, weightsOf }: { version: number; weightsOf: number | null }): string =>
  `${weightsOf === null ? `version ${version}` : `version ${version}, with the weights of version ${weightsOf},`} is in force`;

const WORDS: Words = {
  unpinned: () => done('rounds go on'),
  'rolled-back': (o) => done(inForce(o)),
  pinned: (o) => done(`${inForce(o)} and pinned: no round opens until "ecavg cloud unpin"`),
  'no-earlier-version': () => refused('ECAVG_NOT_NOW', 'there is no earlier version to go back to'),
  'in-force-already': ({ version }) => refused('ECAVG_NOT_NOW', `version ${version} is in force already`),
  'still-starting': () =>
    refused('ECAVG_NOT_READY', 'the cloud is still starting: try again when it has reached the broker'),
  'unknown-model': ({ fleet, model }) => refused('ECAVG_NOT_FOUND', `this cloud has no model ${fleet}/${model}`),
};

/** Carries a command out, and says what came of it; a version that there is not is refused too. */
export async function controlAnswer(carryOut: () => Promise<ControlOutcome>): Promise<ControlAnswer> {
  try {
    const outcome = await carryOut();
    return (WORDS[outcome.code] as (o: ControlOutcome) => ControlAnswer)(outcome);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return refused(error.code, error.message);
  }
}
