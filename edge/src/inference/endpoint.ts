import type { StreamWindow } from '@ecavg/models';
import {
  CodedError,
  decodeMessage,
  encodeMessage,
  ProtocolError,
  type ResultMessage,
  type Topics,
} from '@ecavg/protocol';
import { codeOf } from '@ecavg/protocol/errors';
import type { Logger } from '@ecavg/runtime';
import { z } from 'zod';
import type { Answer, InferenceService } from './service.js';

const MAX_BYTES = 16 << 20;
const OPEN_BRACE = 0x7b;

const jsonSchema = z.object({
  id: z.union([z.string().max(100), z.number()]).transform(String),
  x: z.array(z.number()),
});

type Body = Omit<ResultMessage, 'v' | 'type' | 'edge' | 'model'>;
type Encoding = 'json' | 'messagepack';

/** Whom this gateway answers. */
interface Names {
  readonly edge: string;
  readonly model: string;
  /** None: unlabelled. */
  readonly classes: readonly string[];
}

interface EndpointParts {
  readonly service: InferenceService;
  readonly topics: Topics;
  readonly names: Names;
  readonly log: Logger;
  publish(topic: string, payload: Uint8Array): void;
}

/** Requests and results of the inference service as messages: JSON for who asks in JSON, MessagePack for others. */
export class InferenceEndpoint {
  readonly requests: string;
  readonly #results: string;

  constructor(private readonly parts: EndpointParts) {
    const { topics, names } = parts;
    this.requests = topics.infer(names.edge, names.model, 'request');
    this.#results = topics.infer(names.edge, names.model, 'result');
  }

  /** Takes a request; the result is published once it is there. */
  request(payload: Uint8Array): void {
    const encoding: Encoding = payload[0] === OPEN_BRACE ? 'json' : 'messagepack';
    let request: { id: string; x: Float32Array };
    try {
      request = encoding === 'json' ? fromJson(payload) : fromMessagePack(payload);
    } catch (error) {
      const detail = (error as Error).message.slice(0, 500);
      this.parts.log.warn({ code: codeOf(error), detail }, 'request for inference refused');
      this.#send({ id: '', error: 'bad-request', detail }, encoding);
      return;
    }
    const { id, x } = request;
    void this.parts.service.ask(x).then((outcome) => {
      if ('answer' in outcome) this.#send({ id, ...this.#told(outcome.answer) }, encoding);
      else this.#send({ id, error: outcome.refused, detail: outcome.detail.slice(0, 500) }, encoding);
    });
  }

  /** A window of the gateway's own stream; resolves with its score, or undefined. */
  async window({ values, startMs, endMs, present }: StreamWindow, publish: boolean): Promise<number | undefined> {
    const outcome = await this.parts.service.ask(values);
    if (!('answer' in outcome)) return undefined;
    const { answer } = outcome;
    const about = { startMs: Math.max(0, startMs), endMs: Math.max(0, endMs), present };
    if (publish) this.#send({ id: `window-${Math.round(endMs)}`, ...about, ...this.#told(answer) }, 'json');
    return answer.score;
  }

  #told({ batch: _, score, ...answer }: Answer): Omit<Body, 'id'> {
    const { label } = answer;
    const name = label === undefined ? undefined : this.parts.names.classes[label];
    // A model that gives no number has no score, and what it says is no usual sample.
    return { ...answer, ...(Number.isFinite(score) && { score }), ...(name !== undefined && { class: name }) };
  }

  #send(body: Body, encoding: Encoding): void {
    const { edge, model } = this.parts.names;
    const result = { ...body, edge, model };
    const payload =
      encoding === 'json'
        ? Buffer.from(JSON.stringify({ v: 1, type: 'result', ...result }))
        : encodeMessage('result', result);
    this.parts.publish(this.#results, payload);
  }
}

function fromJson(payload: Uint8Array): { id: string; x: Float32Array } {
  if (payload.length > MAX_BYTES)
    throw new CodedError('ECAVG_INFER_REQUEST', `${payload.length} bytes; the limit is ${MAX_BYTES}`);
  const parsed = jsonSchema.safeParse(JSON.parse(Buffer.from(payload).toString('utf8')));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CodedError(
      'ECAVG_INFER_REQUEST',
      `${issue?.path.join('.')}: ${issue?.message}; expected {"id": "...", "x": [numbers]}`,
    );
  }
  return { id: parsed.data.id, x: Float32Array.from(parsed.data.x) };
}

function fromMessagePack(payload: Uint8Array): { id: string; x: Float32Array } {
  const { id, x } = decodeMessage('request', payload, MAX_BYTES);
  if (x.length % 4 !== 0) throw new ProtocolError('schema', `request.x: ${x.length} bytes are no float32 values`);
  return { id, x: new Float32Array(new Uint8Array(x).buffer) };
}
