import type { RoundState } from '../inbox/roundStore.js';

export interface QuorumRules {
  readonly mode: 'sync' | 'async';
  /** Share of the wanted updates that are needed to close at the deadline, in (0, 1]. */
  readonly quorum: number;
  readonly deadlineSeconds: number;
  /** Updates that the combiner can do with. */
  readonly least: number;
}

/** How an open round stands. */
export interface Standing {
  readonly accepted: number;
  /** Updates without which it does not close. */
  readonly needed: number;
  /** Edges that were asked, are online and have not answered. */
  readonly waiting: readonly string[];
  /** Enough has come, and nothing more is worth waiting for. */
  readonly complete: boolean;
  readonly overdue: boolean;
}

/**
 * A synchronous round is complete once the wanted number has answered, or the needed number and nobody is left or the deadline is over;
 * an asynchronous one once its buffer is full, or the deadline is over with what the combiner needs.
 * @param answered edges whose updates were accepted, one entry an update. @param now in ms.
 */
export function standing(
  state: RoundState,
  answered: readonly string[],
  isOnline: (edge: string) => boolean,
  { rules, now }: { readonly rules: QuorumRules; readonly now: number },
): Standing {
  const { mode, quorum, least, deadlineSeconds } = rules;
  const accepted = answered.length;
  const left = state.deadlineAt - now;
  // A deadline further away than a whole round means that the clock was set back.
  const overdue = left <= 0 || left > deadlineSeconds * 1000 + 1000;
  const wanted = Math.max(least, state.wanted ?? state.participants.length);
  const needed = mode === 'async' ? least : Math.max(least, Math.ceil(quorum * wanted));
  const has = new Set(answered);
  const waiting = state.participants.filter((e) => isOnline(e) && !has.has(e));
  const nobodyLeft = mode === 'sync' && waiting.length === 0;
  const complete = accepted >= wanted || (accepted >= needed && (nobodyLeft || overdue));
  return { accepted, needed, waiting, complete, overdue };
}
