import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type StateAnswer, type Version, type Who } from './api.js';
import { headOf } from './overview.js';
import type { Speech } from './text.js';

type Action = { readonly kind: 'rollback' | 'pin' | 'unpin'; readonly version: number };

interface Props {
  readonly state: StateAnswer;
  readonly who: Who;
  readonly speech: Speech;
  readonly onChange: () => void;
}

const SHOWN = 15;

/** The versions; an operator goes back to one, holds one or lets learning go on. */
export function Versions({ state, who, speech, onChange }: Props) {
  const { words, say, percent, time } = speech;
  const [asked, setAsked] = useState<Action | undefined>();
  const [result, setResult] = useState('');
  const head = headOf(state);
  const operator = who.role === 'operator';
  const label = (v: Version): string => {
    if (v.state === 'canary') return words.onTrial;
    if (v.state === 'withdrawn') return words.withdrawn;
    return v === head ? words.inForce : '';
  };
  return (
    <section class="card" aria-labelledby="versions">
      <h2 id="versions">{words.versions}</h2>
      {!operator && <p class="muted">{words.viewerOnly}</p>}
      <p role="status" class="result">
        {result}
      </p>
      {operator && state.pinned !== null && (
        <button type="button" class="main" onClick={() => setAsked({ kind: 'unpin', version: state.pinned ?? 0 })}>
          {words.release}
        </button>
      )}
      <table class="stack">
        <thead>
          <tr>
            <th scope="col">{words.version}</th>
            <th scope="col">{words.made}</th>
            <th scope="col">{state.classes ? words.right : words.score}</th>
            <th scope="col">{words.state}</th>
            <th scope="col">{words.file}</th>
            {operator && <td />}
          </tr>
        </thead>
        <tbody>
          {[...state.versions]
            .reverse()
            .slice(0, SHOWN)
            .map((v) => (
              <tr key={v.version} class={v === head ? 'head' : ''}>
                <th scope="row">{v.version}</th>
                <td data-label={words.made}>{time(v.createdAt)}</td>
                <td data-label={state.classes ? words.right : words.score}>{percent(v.metrics.accuracy)}</td>
                <td data-label={words.state}>
                  {label(v) && <span class={`badge ${v === head ? 'good' : 'same'}`}>{label(v)}</span>}{' '}
                  <span class="muted small">
                    {v.restores !== undefined ? say('copyOf', v.restores) : v.round === 0 ? words.first : ''}
                  </span>
                </td>
                <td data-label={words.file}>
                  <a href={api.onnx(v.version)} download aria-label={say('download', v.version)}>
                    .onnx
                  </a>
                </td>
                {operator && (
                  <td class="actions">
                    {v !== head && v.state === 'current' && (
                      <button type="button" onClick={() => setAsked({ kind: 'rollback', version: v.version })}>
                        {words.goBack}
                      </button>
                    )}
                    {v === head && state.pinned === null && (
                      <button type="button" onClick={() => setAsked({ kind: 'pin', version: v.version })}>
                        {words.hold}
                      </button>
                    )}
                  </td>
                )}
              </tr>
            ))}
        </tbody>
      </table>
      {asked && (
        <Confirm
          action={asked}
          state={state}
          speech={speech}
          onEnd={(said) => {
            setAsked(undefined);
            setResult(said);
            onChange();
          }}
        />
      )}
    </section>
  );
}

interface ConfirmProps {
  readonly action: Action;
  readonly state: StateAnswer;
  readonly speech: Speech;
  readonly onEnd: (said: string) => void;
}

function Confirm({ action, state, speech, onEnd }: ConfirmProps) {
  const { words, say, percent } = speech;
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const accuracy = (n: number | undefined): string =>
    percent(state.versions.find((v) => v.version === n)?.metrics.accuracy);
  const head = headOf(state)?.version;
  const { kind, version } = action;
  const [title, text, button] = {
    rollback: [
      say('confirmBack', version),
      say('confirmBackText', version, accuracy(version), head ?? '', accuracy(head)),
      words.goBack,
    ],
    pin: [say('confirmHold', version), words.confirmHoldText, words.hold],
    unpin: [words.confirmRelease, say('confirmReleaseText', version), words.release],
  }[kind] as [string, string, string];
  const act = async (): Promise<void> => {
    setBusy(true);
    try {
      await api.control(kind, kind === 'unpin' ? undefined : version);
      onEnd(words.done);
    } catch (error) {
      onEnd(say('failed', (error as Error).message));
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" aria-describedby="confirm-text" onCancel={() => onEnd('')}>
      <h2 id="confirm-title">{title}</h2>
      <p id="confirm-text">{text}</p>
      <div class="buttons">
        <button type="button" onClick={() => onEnd('')}>
          {words.cancel}
        </button>
        <button type="button" class="danger" disabled={busy} onClick={() => void act()}>
          {button}
        </button>
      </div>
    </dialog>
  );
}
