import { ProtocolError } from './errors.js';

/** First levels of every topic; the version changes only when old and new peers can't talk. */
export const TOPIC_ROOT = 'ecavg/v1';

/** Letters, digits, `_`, `-` and `.`, at most 64, starting with a letter or digit: safe as a topic level and a file name. */
export const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Returns an identifier as it is. @throws ProtocolError `bad-identifier` that names the field. */
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
const SHORT_HASH = 12;

/**
 * Topic names of one fleet (docs/wire-format.md lists them). At most 7 slashes, the limit of AWS IoT. Every method throws ProtocolError
 * `bad-identifier` for a name that can't stand in a topic.
 */
export class Topics {
  readonly base: string;
  constructor(readonly fleet: string) {
    this.base = `${TOPIC_ROOT}/${identifier(fleet, 'fleet')}`;
  }
  /** The current version of a model, retained. */
  manifest(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/manifest`;
  }
  /** The whole `.onnx` of a small model, so that a plain sensor needs one subscription. */
  onnx(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/onnx`;
  }
  /** A chunk of a model's blob, by the first digits of its sha256; `+` subscribes to all of them. */
  chunk(model: string, sha256: string, index: number | '+'): string {
    return `${this.base}/model/${identifier(model, 'model')}/chunk/${sha256.slice(0, SHORT_HASH)}/${index}`;
  }
  /** The open round of a model, or the last one, retained. */
  round(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/round`;
  }
  /** A version on trial, for the edges that its manifest names. */
  canary(model: string): string {
    return `${this.base}/model/${identifier(model, 'model')}/canary`;
  }
  /** Chunks of what a site shares. */
  share(edge: string, model: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/share/${identifier(model, 'model')}`;
  }
  /** Whether an edge is there, retained, also its last will. */
  status(edge: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/status`;
  }
  /** Chunks of an edge's updates. */
  update(edge: string, model: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/update/${identifier(model, 'model')}`;
  }
  /** What became of an edge's update. */
  receipt(edge: string, model: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/receipt/${identifier(model, 'model')}`;
  }
  /** An edge asks to be known by its key. */
  enrol(edge: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/enrol`;
  }
  /** What an edge measured. */
  metrics(edge: string): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/metrics`;
  }
  /** Requests for inference, and their results. */
  infer(edge: string, model: string, what: 'request' | 'result'): string {
    return `${this.base}/edge/${identifier(edge, 'edge')}/infer/${identifier(model, 'model')}/${what}`;
  }
  /**
   * What the cloud subscribes to: every topic of every edge but those of inference, which lie one level deeper. That takes in topics that
   * do not exist, so that an edge which mistypes one is answered and not ignored.
   */
  get cloudSubscriptions(): string[] {
    return [`${this.base}/edge/+/+`, `${this.base}/edge/+/+/+`];
  }
}

/** Kinds of messages below an edge, and those whose topic names a model too. */
const OF_EDGE = ['status', 'metrics', 'enrol'] as const;
const OF_MODEL = ['update', 'share', 'receipt'] as const;

/** What a topic below an edge says: whose it is, of which model, and what kind of message it carries. */
export type EdgeTopic =
  | { kind: (typeof OF_EDGE)[number]; edge: string }
  | { kind: (typeof OF_MODEL)[number]; edge: string; model: string };

/**
 * Parses a topic below `{base}/edge/`.
 * @throws ProtocolError `unknown-topic` or `bad-identifier`; `replyAddress` says where an answer can go.
 */
export function parseEdgeTopic(topics: Topics, topic: string): EdgeTopic {
  const prefix = `${topics.base}/edge/`;
  if (!topic.startsWith(prefix)) {
    throw new ProtocolError('unknown-topic', `topic ${JSON.stringify(topic.slice(0, 200))} is not below ${prefix}`);
  }
  const levels = topic.slice(prefix.length).split('/');
  const edge = identifier(levels[0] ?? '', 'edge');
  const [, kind, model] = levels;
  const ofEdge = levels.length === 2 ? OF_EDGE.find((k) => k === kind) : undefined;
  if (ofEdge) return { kind: ofEdge, edge };
  const ofModel = levels.length === 3 ? OF_MODEL.find((k) => k === kind) : undefined;
  if (ofModel) return { kind: ofModel, edge, model: identifier(model ?? '', 'model') };
  const last = OF_MODEL.length - 1;
  const known = [...OF_EDGE, ...OF_MODEL.slice(0, last).map((k) => `${k}/{model}`)];
  throw new ProtocolError(
    'unknown-topic',
    `no topic ${JSON.stringify(levels.slice(1).join('/').slice(0, 200))} below an edge: expected ${known.join(', ')} or ${OF_MODEL[last]}/{model}`,
  );
}

/** Where the answer to a bad message goes: the edge of a topic, and its model or `unknown`; undefined where no edge is named. */
export function replyAddress(topics: Topics, topic: string): { edge: string; model: string } | undefined {
  const [edge = '', , model = ''] = topic.slice(`${topics.base}/edge/`.length).split('/');
  if (!IDENTIFIER.test(edge)) return undefined;
  return { edge, model: IDENTIFIER.test(model) ? model : 'unknown' };
}
