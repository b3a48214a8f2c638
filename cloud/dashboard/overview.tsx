import type { RoundsAnswer, StateAnswer } from './api.js';
import type { Speech } from './text.js';

/** A difference that people need not be told of. */
export const SMALL = 0.005;

export const headOf = (state: StateAnswer) => state.versions.findLast((v) => v.state === 'current');

/** Whether it gets better, in one sentence. */
export function Verdict({ state, rounds, speech }: { state: StateAnswer; rounds: RoundsAnswer; speech: Speech }) {
  const { words, say, percent } = speech;
  const all = rounds.rounds.filter((r) => r.accuracy !== null);
  const newest = all[0];
  const oldest = all.at(-1);
  const head = headOf(state);
  const now = head?.metrics.accuracy ?? newest?.accuracy;
  if (!newest || !oldest || now === undefined || now === null)
    return <Banner kind="waiting" mark="…" title={words.waiting} text={words.waitingText} />;
  const start = oldest.previous ?? now;
  const best = Math.max(...all.map((r) => r.accuracy ?? 0));
  if (newest.decision === 'kept-previous')
    return <Banner kind="refused" mark="!" title={words.refused} text={words.refusedText} />;
  if (now < best - 2 * SMALL)
    return <Banner kind="worse" mark="↓" title={words.worse} text={say('worseText', percent(best), percent(now))} />;
  if (now > start + SMALL)
    return (
      <Banner kind="better" mark="↑" title={words.better} text={say('betterText', percent(start), percent(now))} />
    );
  return <Banner kind="steady" mark="=" title={words.steady} text={say('steadyText', percent(now))} />;
}

function Banner({ kind, mark, title, text }: { kind: string; mark: string; title: string; text: string }) {
  return (
    <section class={`banner ${kind}`} aria-labelledby="verdict">
      <span class="mark" aria-hidden="true">
        {mark}
      </span>
      <div>
        <h2 id="verdict">{title}</h2>
        <p>{text}</p>
      </div>
    </section>
  );
}

export function Tiles({ state, rounds, speech }: { state: StateAnswer; rounds: RoundsAnswer; speech: Speech }) {
  const { words, say, percent, bytes, number } = speech;
  const online = state.members.filter((m) => m.online).length;
  const sent = rounds.rounds.reduce((a, r) => a + r.bytes, 0);
  const plain = rounds.rounds.reduce((a, r) => a + r.float32Bytes, 0);
  const { round } = state;
  const phase = !round
    ? ''
    : round.phase === 'open'
      ? say('collecting', state.accepted.length, round.participants.length)
      : round.phase === 'closing'
        ? words.working
        : words.ended;
  return (
    <dl class="tiles">
      <Tile name={words.gatewaysOnline} value={say('of', state.connected ? online : '?', state.members.length)} />
      <Tile
        name={state.classes ? words.right : words.score}
        value={percent(headOf(state)?.metrics.accuracy ?? rounds.rounds[0]?.accuracy)}
        note={words.rightNote}
      />
      <Tile name={words.roundTile} value={round ? String(round.round) : words.none} note={phase} />
      <Tile
        name={words.data}
        value={bytes(sent)}
        note={sent > 0 && plain > sent ? say('dataNote', number(plain / sent)) : ''}
      />
    </dl>
  );
}

function Tile({ name, value, note = '' }: { name: string; value: string; note?: string }) {
  return (
    <div class="card tile">
      <dt>{name}</dt>
      <dd>
        <b>{value}</b>
        <span class="muted">{note}</span>
      </dd>
    </div>
  );
}
