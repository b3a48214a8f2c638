import { useState } from 'preact/hooks';
import { ApiError, api, type Who } from './api.js';
import type { Speech } from './text.js';

export function SignIn({ speech, onDone }: { readonly speech: Speech; readonly onDone: (who: Who) => void }) {
  const { words, say } = speech;
  const [trouble, setTrouble] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setTrouble('');
    try {
      onDone(await api.signIn(String(form.get('name')), String(form.get('password'))));
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0;
      setTrouble(
        status === 401 ? words.wrong : status === 429 ? words.tooMany : say('failed', (error as Error).message),
      );
      setBusy(false);
    }
  };
  return (
    <form class="card sign-in" onSubmit={(e) => void submit(e)}>
      <h2>{words.signIn}</h2>
      <label>
        {words.name}
        <input name="name" autocomplete="username" required maxLength={64} />
      </label>
      <label>
        {words.password}
        <input name="password" type="password" autocomplete="current-password" required maxLength={1024} />
      </label>
      <p class="trouble" role="alert">
        {trouble}
      </p>
      <button type="submit" class="main" disabled={busy}>
        {words.signIn}
      </button>
    </form>
  );
}
