import type { MendedRung } from '../src/judging/ladder.js';
import type { Reception, Round, RoundsAnswer } from './api.js';
import type { Speech } from './text.js';

const SHOWN = 20;

/** What the guard decided in each round, and why, as sentences. */
export function Decisions({ rounds, speech }: { rounds: RoundsAnswer; speech: Speech }) {
  const { words, say, time } = speech;
  return (
    <section class="card" aria-labelledby="decisions">
      <h2 id="decisions">{words.decisions}</h2>
      {rounds.rounds.length === 0 && <p class="muted">{words.waiting}</p>}
      <ol class="decisions">
        {rounds.rounds.slice(0, SHOWN).map((r) => {
          const kind = r.decision === 'kept-previous' ? 'bad' : r.attempts.length > 1 ? 'warn' : 'good';
          const word = { bad: words.rejected, warn: words.acceptedMended, good: words.accepted }[kind];
          return (
            <li key={r.round}>
              <h3>
                {say('roundHead', r.round)} <span class={`badge ${kind}`}>{word}</span>{' '}
                <time class="muted small" dateTime={new Date(r.at).toISOString()}>
                  {time(r.at)}
                </time>
              </h3>
              <p>{sentences(r, rounds.receptions, speech).join(' ')}</p>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

type Mended = (leftOut: readonly string[], speech: Speech) => string;

/** How a mix was mended, by the rung of the guard's ladder. */
const MENDED: Readonly<Record<MendedRung, Mended>> = {
  realigned: (_, { words }) => words.realigned,
  'left-out': (leftOut, { say }) => say('leftOut', leftOut.join(', ')),
  shrunk: (_, { words }) => words.shrunk,
};

function sentences(r: Round, receptions: readonly Reception[], speech: Speech): string[] {
  const { say, percent, words } = speech;
  const first = r.attempts[0];
  const last = r.attempts.at(-1);
  const out = [say('answered', r.accepted.length, r.participants.length)];
  if (r.decision === 'kept-previous') {
    const best = Math.max(...r.attempts.flatMap((a) => [a.average ?? 0, a.fineTuned ?? 0]));
    return [...out, say('keptPrevious', percent(best), percent(r.previous), r.version)];
  }
  if (r.attempts.length > 1 && last) {
    // A round that another release has kept may name a rung that is not known here.
    const mended: Mended | undefined = MENDED[last.rung as MendedRung];
    const how = mended?.(last.leftOut, speech) ?? last.rung;
    const had = Math.max(first?.average ?? 0, first?.fineTuned ?? 0);
    out.push(say('mended', percent(had), percent(r.previous), how));
  }
  const average = last?.average ?? r.average;
  out.push(
    r.decision === 'fine-tuned'
      ? say('tookTuned', percent(average), percent(r.accuracy), r.version)
      : say('tookAverage', percent(average), r.version),
  );
  const reception = receptions.find((x) => x.version === r.version);
  if (reception && reception.edges.length > 0)
    out.push(reception.hurt.length > 0 ? say('hurt', reception.hurt.join(', ')) : words.nobodyHurt);
  return out;
}
