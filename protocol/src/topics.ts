import { ProtocolError } from './errors.js';

/** First levels of every topic; the version changes only when old and new peers can't talk. */
export const TOPIC_ROOT = 'ecavg/v1';

/** Letters, digits, `_`, `-` and `.`, at most 64, starting with a letter or digit: safe as a topic level and a file name. */
export const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Returns the identifier, or throws `bad-identifier` naming the field. */
export function identifier(value: string, field: string): string {
  if (!IDENTIFIER.test(value) || value.includes('..')) {
    throw new ProtocolError(
      'bad-identifier',
      `${field} ${JSON.stringify(value.slice(0, 80))} is not an identifier: use 1-64 letters, digits, "_", "-" or ".", starting with a letter or digit`,
    );
  }
  return value;
}

/** Hex digits of a blob's sha256 that name it in a topic. */
export const SHORT_HASH = 12;

/** Topic names of one fleet. At most 7 slashes, the limit of AWS IoT. */
export class Topics {
  readonly base: string;
  constructor(readonly fleet: string) {
    this.base = `${TOPIC_ROOT}/${identifier(fleet, 'fleet')}`;
  }
  manifest(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/manifest`;
  }
  /** The whole `.onnx` of a small model, so that a plain sensor needs one subscription. */
  onnx(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/onnx`;
  }
  chunk(model: string, sha256: string, index: number | '+'): string {
    return `${this.base}/model/${identifier(model, 'model')}/chunk/${sha256.slice(0, SHORT_HASH)}/${index}`;
  }
  round(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/round`;
  }
  /** A version on trial, for the edges that its manifest names. */
  canary(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/canary`;
  }
  share(edge: string, model: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/share/${identifier(model, 'model')}`;
  }
  status(edge: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/status`;
  }
  update(edge: string, model: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/update/${identifier(model, 'model')}`;
  }
  receipt(edge: string, model: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/receipt/${identifier(model, 'model')}`;
  }
  enrol(edge: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/enrol`;
  }
  metrics(edge: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/metrics`;
  }
  /** Requests for inference, and their results. */
  infer(edge: string, model: string, what: 'request' | 'result'): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/infer/${identifier(model, 'model')}/${what}`;
  }
  /**
   * What the cloud subscribes to: every edge topic but inference traffic (one level deeper). Wide on
   * purpose, so that a mistyped topic is answered instead of ignored.
   */
  get cloudSubscriptions(): string[] {
    return [`${this.base}/edge/+/+`, `${this.base}/edge/+/+/+`];
  }
}

export type EdgeTopic =
  | { kind: 'status'; edge: string }
  | { kind: 'metrics'; edge: string }
  | { kind: 'enrol'; edge: string }
  | { kind: 'update'; edge: string; model: string }
  | { kind: 'share'; edge: string; model: string }
  | { kind: 'receipt'; edge: string; model: string };

/**
 * Parses a topic below `{base}/edge/`. Throws `unknown-topic` or `bad-identifier`; the error's
 * `edge` and `model`, where they could be read, say where an answer can go.
 */
export function parseEdgeTopic(topics: Topics, topic: string): EdgeTopic {
  const prefix = `${topics.base}/edge/`;
  if (!topic.startsWith(prefix)) {
    throw new ProtocolError('unknown-topic', `topic ${JSON.stringify(topic.slice(0, 200))} is not below ${prefix}`);
  }
  const levels = topic.slice(prefix.length).split('/');
  const edge = identifier(levels[0] ?? '', 'edge');
  const [, kind, model] = levels;
  if (levels.length === 2 && (kind === 'status' || kind === 'metrics' || kind === 'enrol')) return { kind, edge };
  if (levels.length === 3 && (kind === 'update' || kind === 'receipt' || kind === 'share')) {
    return { kind, edge, model: identifier(model ?? '', 'model') };
  }
  throw new ProtocolError(
    'unknown-topic',
    `no topic ${JSON.stringify(levels.slice(1).join('/').slice(0, 200))} below an edge: expected status, metrics, enrol, update/{model}, share/{model} or receipt/{model}`,
  );
}

/** The edge and model named by a topic, as far as they are valid: where the answer to a bad message goes. */
export function replyAddress(topics: Topics, topic: string): { edge: string; model: string } | undefined {
  const [edge = '', , model = ''] = topic.slice(`${topics.base}/edge/`.length).split('/');
  if (!IDENTIFIER.test(edge)) return undefined;
  return { edge, model: IDENTIFIER.test(model) ? model : 'unknown' };
}
