import {
  decodeMessage,
  decodeShare,
  MAX_CHUNK_BYTES,
  type Message,
  ProtocolError,
  parseEdgeTopic,
  type ShareHeader,
  shareHeader,
  UpdateAssembler,
} from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { EdgeKeys } from '../fleet/edgeKeys.js';
import type { ShareStore } from './shareStore.js';
import type { Inbox } from './updates.js';

const ENVELOPE_BYTES = 4096;
const SLACK = 64 * 1024;

/** What the cloud asks for: shape of a row, most rows of an edge, and for activations the value's name. */
export interface Asked {
  readonly kind: ShareHeader['kind'];
  readonly shape: readonly number[];
  readonly count: number;
  readonly layer?: string;
}

/** Receives what sites share, and nothing that the cloud did not ask for. */
export class ShareInbox {
  readonly #assembler: UpdateAssembler;

  constructor(
    private readonly about: {
      readonly fleet: string;
      readonly model: string;
      readonly classes: number;
      readonly asked: readonly Asked[];
      /** Whether a version of this sha256 is in force or on trial. */
      isCurrent(sha256: string): boolean;
    },
    private readonly store: ShareStore,
    private readonly keys: EdgeKeys,
    private readonly inbox: Inbox,
    private readonly log: Logger,
    private readonly taken: (edge: string) => void,
  ) {
    const size = (a: Asked): number => a.count * (12 + a.shape.reduce((n, d) => n * d, 1));
    this.#assembler = new UpdateAssembler(Math.max(0, ...about.asked.map(size)) + SLACK);
  }

  /** Handles a message on a share topic. Never throws: a bad message is counted, logged and answered. */
  async take(topic: string, payload: Uint8Array): Promise<void> {
    let id: string | null = null;
    try {
      const chunk = decodeMessage('share', payload, MAX_CHUNK_BYTES + ENVELOPE_BYTES);
      id = chunk.id;
      await this.#chunk(topic, chunk);
    } catch (error) {
      this.inbox.reject(topic, error, id === null ? undefined : { id });
    }
  }

  async #chunk(topic: string, chunk: Message<'share'>): Promise<void> {
    const address = parseEdgeTopic(this.inbox.topics, topic);
    if (address.kind !== 'share') throw new ProtocolError('unknown-topic', `${topic} carries no shares`);
    const { edge, model } = address;
    if (chunk.edge !== edge || chunk.model !== model)
      throw new ProtocolError('identity-mismatch', `a share of ${chunk.edge}/${chunk.model} on the topic of ${edge}`);
    if (model !== this.about.model) throw new ProtocolError('unknown-model', `this cloud has no model ${model}`);
    if (this.about.asked.length === 0)
      throw new ProtocolError('not-wanted', 'this cloud asks for no samples or features');
    const { id } = chunk;
    if (await this.store.has(edge, id)) return this.inbox.answer(edge, model, { id, status: 'accepted', round: null });
    const result = this.#assembler.add(chunk);
    if ('missing' in result) {
      if (chunk.index === chunk.count - 1)
        this.inbox.answer(edge, model, { id, status: 'missing', round: null, missing: result.missing });
      return;
    }
    const header = await this.#check(result.blob, chunk);
    await this.store.put(header, result.blob);
    this.log.info({ edge, kind: header.kind, rows: header.count, bytes: result.blob.length }, 'a site shared');
    this.inbox.answer(edge, model, { id, status: 'accepted', round: null });
    this.taken(edge);
  }

  async #check(blob: Uint8Array, chunk: Message<'share'>): Promise<ShareHeader> {
    const { fleet, classes, asked } = this.about;
    const header = shareHeader(blob);
    for (const field of ['edge', 'model', 'base'] as const) {
      if (header[field] !== chunk[field])
        throw new ProtocolError(
          'identity-mismatch',
          `the share says ${field} ${header[field]}, its envelope ${chunk[field]}`,
        );
    }
    if (header.fleet !== fleet) throw new ProtocolError('identity-mismatch', `a share of fleet ${header.fleet}`);
    await this.keys.check(header.edge, header.key);
    const want = asked.find((a) => a.kind === header.kind);
    if (!want || want.layer !== header.layer || header.count > want.count)
      throw new ProtocolError(
        'not-wanted',
        `${header.count} ${header.kind} of ${header.layer ?? 'the input'} were not asked for`,
      );
    if (want.shape.join() !== header.shape.join())
      throw new ProtocolError(
        'layout-mismatch',
        `rows of shape [${header.shape.join(', ')}]; the model has [${want.shape.join(', ')}]`,
      );
    if (header.kind === 'features' && !this.about.isCurrent(header.base))
      throw new ProtocolError(
        'base-mismatch',
        `activations of version ${header.base.slice(0, 12)}, which is not in force`,
      );
    decodeShare(blob, classes);
    return header;
  }
}
