import { render } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, api, type Named, type RoundsAnswer, type StateAnswer, type Who, which } from './api.js';
import { ChartCard, type Series } from './chart.js';
import { Decisions } from './decisions.js';
import { Gateways } from './gateways.js';
import { Tiles, Verdict } from './overview.js';
import { SignIn } from './signIn.js';
import { firstLanguage, type Language, type Speech, speech as speechOf } from './text.js';
import { Versions } from './versions.js';
import 'uplot/dist/uPlot.min.css';
import './app.css';
import './controls.css';

type Link = 'connecting' | 'live' | 'lost';

/** Events come in bursts; the page is drawn once for each. */
const BURST_MS = 250;

function App() {
  const [language, setLanguage] = useState<Language>(firstLanguage);
  const speech = useMemo(() => speechOf(language), [language]);
  /** undefined: not known yet; null: nobody. */
  const [who, setWho] = useState<Who | null | undefined>();
  const ask = useCallback(() => {
    api.whoAmI().then(setWho, () => setWho(null));
  }, []);
  useEffect(ask, [ask]);
  useEffect(() => {
    document.title = `ecavg · ${speech.words.title}`;
  }, [speech]);
  return (
    <>
      {who ? (
        <Fleet speech={speech} who={who} onLanguage={setLanguage} onSignIn={() => setWho(null)} onSignedOut={ask} />
      ) : (
        <>
          <Header speech={speech} onLanguage={setLanguage} />
          <main>{who === null && <SignIn speech={speech} onDone={setWho} />}</main>
        </>
      )}
    </>
  );
}

interface HeaderProps {
  readonly speech: Speech;
  readonly onLanguage: (language: Language) => void;
  readonly link?: Link;
  readonly models?: readonly Named[];
  readonly now?: Named | undefined;
  readonly who?: Who;
  readonly onSignIn?: () => void;
  readonly onSignOut?: () => void;
}

function Header({ speech, onLanguage, link, models = [], now, who, onSignIn, onSignOut }: HeaderProps) {
  const { words, language } = speech;
  const go = (event: Event): void => {
    const [fleet = '', model = ''] = (event.currentTarget as HTMLSelectElement).value.split('/');
    window.location.search = `?${new URLSearchParams({ fleet, model })}`;
  };
  return (
    <header>
      <h1>
        ecavg <span class="muted">{words.title}</span>
      </h1>
      {models.length > 1 ? (
        <label class="inline">
          <span class="muted">{words.model}</span>
          <select value={now ? `${now.fleet}/${now.model}` : ''} onChange={go}>
            {models.map((m) => (
              <option key={`${m.fleet}/${m.model}`}>{`${m.fleet}/${m.model}`}</option>
            ))}
          </select>
        </label>
      ) : (
        now && <span class="muted">{`${now.fleet} / ${now.model}`}</span>
      )}
      <span class="space" />
      {link && (
        <span role="status" class={`dot ${link === 'live' ? 'good' : link === 'lost' ? 'bad' : 'off'}`}>
          {words[link]}
        </span>
      )}
      <fieldset class="languages" aria-label={words.language}>
        {(['en', 'ja'] as const).map((l) => (
          <button type="button" key={l} lang={l} aria-pressed={l === language} onClick={() => onLanguage(l)}>
            {l === 'en' ? 'English' : '日本語'}
          </button>
        ))}
      </fieldset>
      {who?.by === 'anonymous' && who.role === 'viewer' && (
        <button type="button" onClick={onSignIn}>
          {words.signIn}
        </button>
      )}
      {who?.by === 'session' && (
        <button type="button" onClick={onSignOut}>
          {words.signOut} ({who.name})
        </button>
      )}
    </header>
  );
}

interface FleetProps extends Pick<HeaderProps, 'speech' | 'onLanguage'> {
  readonly who: Who;
  readonly onSignIn: () => void;
  readonly onSignedOut: () => void;
}

function Fleet({ speech, who, onLanguage, onSignIn, onSignedOut }: FleetProps) {
  const { words, say } = speech;
  const [state, setState] = useState<StateAnswer | undefined>();
  const [rounds, setRounds] = useState<RoundsAnswer | undefined>();
  const [models, setModels] = useState<readonly Named[]>([]);
  const [link, setLink] = useState<Link>('connecting');
  const [trouble, setTrouble] = useState('');
  const timer = useRef(0);
  const load = useCallback(async (): Promise<void> => {
    try {
      const [now, past] = await Promise.all([api.state(), api.rounds()]);
      setState(now);
      setRounds(past);
      setTrouble('');
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) onSignedOut();
      else if (error instanceof ApiError) setTrouble(error.message);
    }
  }, [onSignedOut]);
  const soon = useCallback(() => {
    if (timer.current !== 0) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      void load();
    }, BURST_MS);
  }, [load]);
  useEffect(() => {
    void load();
    api.models().then(setModels, () => undefined);
    const events = api.events();
    events.onopen = () => {
      setLink('live');
      soon();
    };
    events.onmessage = soon;
    events.onerror = () => {
      setLink('lost');
      // A session that has ended closes the stream for good; this finds out.
      soon();
    };
    return () => events.close();
  }, [load, soon]);
  const signOut = (): void => {
    void api.signOut().finally(onSignedOut);
  };
  return (
    <>
      <Header
        speech={speech}
        onLanguage={onLanguage}
        link={link}
        models={models}
        now={state}
        who={who}
        onSignIn={onSignIn}
        onSignOut={signOut}
      />
      <main>
        {trouble && (
          <p class="notice" role="alert">
            {say('failed', trouble)} {which() && <a href="/">ecavg</a>}
          </p>
        )}
        {state && rounds && (
          <>
            {!state.connected && (
              <p class="notice" role="alert">
                {words.cutOff}
              </p>
            )}
            {state.simulatedData && <p class="notice">{words.simulated}</p>}
            {state.pinned !== null && <p class="notice">{say('held', state.pinned)}</p>}
            {state.versions.at(-1)?.state === 'canary' && (
              <p class="notice">{say('trial', state.versions.at(-1)?.version ?? '')}</p>
            )}
            <Verdict state={state} rounds={rounds} speech={speech} />
            <Tiles state={state} rounds={rounds} speech={speech} />
            <Progress rounds={rounds} speech={speech} />
            <Gateways state={state} newest={rounds.receptions[0]} speech={speech} />
            <Decisions rounds={rounds} speech={speech} />
            <Cost rounds={rounds} speech={speech} />
            <Versions state={state} who={who} speech={speech} onChange={soon} />
          </>
        )}
      </main>
    </>
  );
}

const FULL = [0, 1] as const;

function Progress({ rounds, speech }: { rounds: RoundsAnswer; speech: Speech }) {
  const { words, percent } = speech;
  const [x, series] = useMemo((): [number[], Series[]] => {
    const all = [...rounds.rounds].reverse();
    const [first] = all;
    // Before the first round: what the fleet began with.
    const mix = [null, ...all.map((r) => r.average)];
    const inUse = [first?.previous ?? null, ...all.map((r) => r.accuracy)];
    return [
      first ? [first.round - 1, ...all.map((r) => r.round)] : [],
      [
        { label: words.mix, colour: '--second', kind: 'points', values: mix },
        { label: words.inUse, colour: '--first', kind: 'line', values: inUse },
      ],
    ];
  }, [rounds, words]);
  return (
    <ChartCard
      id="progress"
      title={words.progress}
      text={words.progressText}
      x={x}
      series={series}
      range={FULL}
      format={percent}
      words={words}
    />
  );
}

function Cost({ rounds, speech }: { rounds: RoundsAnswer; speech: Speech }) {
  const { words, bytes } = speech;
  const [x, series, table] = useMemo((): [number[], Series[], Series[]] => {
    const all = [...rounds.rounds].reverse();
    const sent: Series = { label: words.sent, colour: '--first', kind: 'bars', values: all.map((r) => r.bytes) };
    const plain: Series = {
      label: words.uncompressed,
      colour: '--second',
      kind: 'bars',
      values: all.map((r) => r.float32Bytes),
    };
    return [all.map((r) => r.round), [sent], [sent, plain]];
  }, [rounds, words]);
  return (
    <ChartCard
      id="cost"
      title={words.cost}
      text={words.costText}
      x={x}
      series={series}
      table={table}
      format={bytes}
      words={words}
    />
  );
}

const root = document.getElementById('app');
if (root) render(<App />, root);
