import type { Edge, Reception, StateAnswer } from './api.js';
import { SMALL } from './overview.js';
import type { Speech } from './text.js';

/** The newest of the two reports that an edge makes of a version. */
function verdictOf({ reports: { adopted, kept } }: Edge) {
  if (!adopted || !kept) return adopted ?? kept;
  return kept.version > adopted.version ? kept : adopted;
}

interface Props {
  readonly state: StateAnswer;
  readonly newest: Reception | undefined;
  readonly speech: Speech;
}

export function Gateways({ state, newest, speech }: Props) {
  const { words, say, number } = speech;
  return (
    <section class="card" aria-labelledby="gateways">
      <h2 id="gateways">{words.gateways}</h2>
      <p class="muted">{words.gatewaysText}</p>
      {state.members.length === 0 ? (
        <p>{words.noGateways}</p>
      ) : (
        <table class="stack">
          <thead>
            <tr>
              <th scope="col">{words.gateway}</th>
              <th scope="col">{words.state}</th>
              <th scope="col">{words.samples}</th>
              <th scope="col">{words.before}</th>
              <th scope="col">{words.after}</th>
              <th scope="col">{words.effect}</th>
            </tr>
          </thead>
          <tbody>
            {state.members.map((m) => {
              const report = verdictOf(m);
              const said = newest?.edges.find((e) => e.edge === m.edge);
              const before = said?.before ?? report?.values.valPrevious;
              const after = said?.after ?? report?.values.valAfter;
              const using = !report
                ? words.noReport
                : report.event === 'kept'
                  ? say('keeps', speech.percent(report.values.valServing))
                  : say('uses', report.version);
              return (
                <tr key={m.edge}>
                  <th scope="row">{m.edge}</th>
                  <td data-label={words.state}>
                    <span class={`dot ${m.online && state.connected ? 'good' : 'off'}`}>
                      {!state.connected ? '?' : m.online ? words.online : words.offline}
                    </span>
                  </td>
                  <td data-label={words.samples}>{number(m.samples)}</td>
                  <td data-label={words.before}>{speech.percent(before)}</td>
                  <td data-label={words.after}>{speech.percent(after)}</td>
                  <td data-label={words.effect}>
                    <Effect before={before} after={after} tolerance={state.hurtTolerance} speech={speech} />
                    <span class="muted small">{using}</span>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </section>
  );
}

interface EffectProps {
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly tolerance: number;
  readonly speech: Speech;
}

function Effect({ before, after, tolerance, speech }: EffectProps) {
  if (before === undefined || after === undefined) return null;
  const { words, points } = speech;
  const change = after - before;
  const kind = change < -tolerance ? 'bad' : change < -SMALL ? 'warn' : change > SMALL ? 'good' : 'same';
  const { effectWorse: bad, effectSlight: warn, effectBetter: good, effectSame: same } = words;
  const word = { bad, warn, good, same }[kind];
  const mark = { bad: '▼', warn: '▽', good: '▲', same: '■' }[kind];
  return (
    <span class={`badge ${kind}`}>
      <span aria-hidden="true">{mark}</span> {word} {points(change)}
    </span>
  );
}
