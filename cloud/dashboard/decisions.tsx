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

function sentences(r: Round, receptions: readonly Reception[], { say, percent, words }: Speech): string[] {
  const first = r.attempts[0];
  const last = r.attempts.at(-1);
  const out = [say('answered', r.accepted.length, r.participants.length)];
  if (r.decision === 'kept-previous') {
    const best = Math.max(...r.attempts.flatMap((a) => [a.average ?? 0, a.fineTuned ?? 0]));
    return [...out, say('keptPrevious', percent(best), percent(r.previous), r.version)];
  }
  if (r.attempts.length > 1 && last) {
    const how =
      last.rung === 'left-out'
        ? say('leftOut', last.leftOut.join(', '))
        : last.rung === 'realigned'
          ? words.realigned
          : words.shrunk;
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
