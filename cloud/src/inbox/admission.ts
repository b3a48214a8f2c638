import { ProtocolError, type UpdateChunk } from '@ecavg/protocol';
import type { RoundStore } from './roundStore.js';

/** What decides on an update; `mode` and `maxStaleness` are of the settings' section `rounds`. */
export interface AdmissionRules {
  readonly mode: 'sync' | 'async';
  /** Versions that an update may lie behind in asynchronous rounds. */
  readonly maxStaleness: number;
  /** Versions that came into force after the one with this sha256; undefined where that one does not count any more. */
  staleness(sha256: string): number | undefined;
}

/**
 * Whether the cloud wants an update of this edge, round and base now.
 * @throws `round-closed`, or `base-mismatch` where it was made from another version than the round's (or, in asynchronous
 * rounds, from one that is too old or was rolled back).
 */
export function admit(
  { edge, round, base }: Pick<UpdateChunk, 'edge' | 'round' | 'base'>,
  store: RoundStore,
  rules: AdmissionRules,
): void {
  const open = store.state;
  const async = rules.mode === 'async';
  if (open?.phase !== 'open' || (async ? round > open.round : round !== open.round)) {
    const now = open?.phase === 'open' ? `round ${open.round} is open` : 'no round is open';
    throw new ProtocolError('round-closed', `update for round ${round}; ${now}`);
  }
  if (open.selected && !open.participants.includes(edge))
    throw new ProtocolError('round-closed', `edge ${edge} was not asked to train in round ${round}`);
  if (async) {
    const staleness = rules.staleness(base);
    if (staleness === undefined || staleness > rules.maxStaleness)
      throw new ProtocolError(
        'base-mismatch',
        staleness === undefined
          ? `update to base ${base.slice(0, 12)}, which is no version that counts any more`
          : `the update's base lies ${staleness} versions back; rounds.maxStaleness is ${rules.maxStaleness}`,
      );
  } else if (open.base.sha256 !== base) {
    throw new ProtocolError(
      'base-mismatch',
      `update to base ${base.slice(0, 12)}; round ${round} has base ${open.base.sha256.slice(0, 12)}`,
    );
  }
}
