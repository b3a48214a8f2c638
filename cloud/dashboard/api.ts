import type { ModelAnswer, RoundsAnswer, SessionAnswer, StateAnswer } from '../src/http/schema.js';

export type { RoundsAnswer, StateAnswer };
export type Edge = StateAnswer['members'][number];
export type Version = StateAnswer['versions'][number];
export type Round = RoundsAnswer['rounds'][number];
export type Reception = RoundsAnswer['receptions'][number];
export type Who = SessionAnswer;
export type Named = Pick<ModelAnswer, 'fleet' | 'model'>;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function call<T>(method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(path, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const answer: unknown = text === '' ? null : JSON.parse(text);
  if (!response.ok)
    throw new ApiError(response.status, (answer as { error?: string } | null)?.error ?? response.statusText);
  return answer as T;
}

/** The model that the page's address names; none: the first. */
export const which = (): string => {
  const { search } = window.location;
  const asked = new URLSearchParams(search);
  const kept = new URLSearchParams();
  for (const name of ['fleet', 'model']) {
    const value = asked.get(name);
    if (value !== null) kept.set(name, value);
  }
  return kept.size > 0 ? `?${kept}` : '';
};

export const api = {
  whoAmI: () => call<Who>('GET', '/api/v1/session'),
  signIn: (name: string, password: string) => call<Who>('POST', '/api/v1/session', { name, password }),
  signOut: () => call<null>('DELETE', '/api/v1/session'),
  models: () => call<Named[]>('GET', '/api/v1/models'),
  state: () => call<StateAnswer>('GET', `/api/v1/state${which()}`),
  rounds: () => call<RoundsAnswer>('GET', `/api/v1/rounds${which() || '?'}&limit=500`),
  control: (action: 'rollback' | 'pin' | 'unpin', version?: number) =>
    call<{ text: string }>('POST', `/api/v1/control/${action}${which()}`, version === undefined ? {} : { version }),
  events: () => new EventSource(`/api/v1/events${which()}`),
  onnx: (version: number) => `/api/v1/versions/${version}/model.onnx${which()}`,
};
