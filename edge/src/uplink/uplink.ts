import type { Artifact, View } from '@ecavg/models';
import type { Layout, Receipt, RoundMessage, Topics } from '@ecavg/protocol';
import { type Flow, type Logger, type MqttClient, RETRY_REASONS, readSecret, Sender } from '@ecavg/runtime';
import { encodeAgain } from './coding.js';
import type { UplinkConfig } from './config.js';
import type { EdgeStore, OutboxEntry } from './edgeStore.js';
import { enrolRequest, type Identity } from './identity.js';
import { Link } from './linkSpeed.js';
import { type Kind, Sharing } from './sharing.js';

/** Refusals of a sound update: what it carried goes into the next one by error feedback. */
const GIVE_BACK = new Set(['round-closed', 'base-mismatch', 'duplicate', 'reference-mismatch']);

interface Means {
  readonly config: UplinkConfig;
  readonly topics: Topics;
  readonly client: MqttClient;
  readonly flow: Flow;
  readonly store: EdgeStore;
  readonly data: { readonly train: View };
  readonly identity: Identity;
  readonly log: Logger;
}

/** What the gateway knows at the moment, for an update that has to be coded once more. */
interface Now {
  readonly artifact: Artifact | undefined;
  readonly round: RoundMessage | undefined;
  readonly layout: Layout | undefined;
}

/** What goes to the cloud and must get there: the update in the outbox, what is shared by opt-in, and the request to be known. */
export class Uplink {
  readonly #link = new Link();
  readonly #updates: Sender;
  readonly #shares: Sender;
  readonly #sharing: Sharing;
  /** What waits to be shared of the version in hand. */
  #toShare: { id: string; blob: Uint8Array; kind: Kind; base: string }[] = [];
  #outbox: OutboxEntry | undefined;
  #stopped = false;

  constructor(private readonly means: Means) {
    const { config, client, flow, store, data, identity, log } = means;
    const { resendSeconds, broker } = config;
    const sending = { client, flow, chunkBytes: broker.transfer.chunkBytes, resendSeconds, log };
    this.#updates = new Sender(sending, (blob) => this.#link.sending(blob));
    this.#shares = new Sender(sending);
    this.#sharing = new Sharing(config, data, store, identity.signer);
  }

  /** Takes up the outbox of the last run; resolves with its round, or 0. */
  async open(): Promise<number> {
    const { store, log } = this.means;
    this.#outbox = await store.outbox((why) => log.error({ why }, 'the outbox was damaged and is set aside'));
    return this.#outbox?.round ?? 0;
  }

  /** The update that waits for its receipt. */
  get pending(): OutboxEntry | undefined {
    return this.#outbox;
  }

  /** A round's message came. */
  opened(round: RoundMessage): void {
    this.#link.opened(round);
  }

  /** Bytes that the link carries in time; undefined before it was measured. */
  budget(round: RoundMessage): number | undefined {
    return this.#link.budget(round);
  }

  /** Sends again what waits: after a connection was made. */
  resume(): void {
    this.#enrol();
    this.#send();
    this.#share();
  }

  /** Keeps an update on disk and sends it until its receipt comes. */
  async put(entry: OutboxEntry): Promise<void> {
    await this.means.store.saveOutbox(entry);
    this.#outbox = entry;
    this.#send();
  }

  /** What a version asks this site for, and the site gives. */
  wanted(...of: Parameters<Sharing['wanted']>): ReturnType<Sharing['wanted']> {
    return this.#sharing.wanted(...of);
  }

  share(blobs: Awaited<ReturnType<Sharing['wanted']>>, base: string): void {
    this.#toShare = blobs.map((s) => ({ ...s, base }));
    this.#share();
  }

  /** Takes a receipt; true where the outbox is empty now. */
  async settle(receipt: Receipt, now: Now): Promise<boolean> {
    const { store, log } = this.means;
    if (receipt.id === null) return this.#enrolled(receipt);
    if (this.#shares.concerns(receipt)) return this.#shared(receipt);
    const entry = this.#outbox;
    if (!entry || receipt.id !== entry.id) return false;
    const { reason = '', detail } = receipt;
    if (receipt.status === 'missing') {
      this.#updates.send(receipt.missing ?? new Uint8Array());
      return false;
    }
    if (receipt.status === 'rejected' && RETRY_REASONS.has(reason)) {
      log.warn({ round: entry.round, reason, detail }, 'update not taken; it will be sent again');
      return false;
    }
    if (reason === 'reference-mismatch' && (await this.#encodeAgain(entry, now))) return false;
    const accepted = receipt.status === 'accepted';
    if (accepted) this.#link.received(entry);
    if (accepted) log.info({ round: entry.round, id: entry.id }, 'update accepted');
    else log.warn({ round: entry.round, reason, detail }, 'update rejected');
    await store.settle(accepted ? entry.ifAccepted : GIVE_BACK.has(reason) ? entry.ifRejected : {});
    this.#updates.done();
    this.#outbox = undefined;
    return true;
  }

  stop(): void {
    this.#stopped = true;
    this.#updates.done();
    this.#shares.done();
  }

  #send(): void {
    const entry = this.#outbox;
    if (!entry || this.#stopped) return;
    const { edge, model } = this.means.config;
    const about = { edge, model, round: entry.round, base: entry.base };
    const topic = this.means.topics.update(edge, model);
    this.#updates.start({ id: entry.id, blob: entry.blob, type: 'update', topic, about });
  }

  /** One blob after another. */
  #share(): void {
    const next = this.#toShare[0];
    if (!next || this.#stopped) return;
    const { edge, model } = this.means.config;
    const topic = this.means.topics.share(edge, model);
    this.#shares.start({ ...next, type: 'share', topic, about: { edge, model, base: next.base } });
  }

  async #shared(receipt: Receipt): Promise<false> {
    const { log } = this.means;
    const { reason = '', detail, status } = receipt;
    if (status === 'missing') {
      this.#shares.send(receipt.missing ?? new Uint8Array());
      return false;
    }
    if (status === 'rejected' && RETRY_REASONS.has(reason)) {
      log.warn({ reason, detail }, 'what is shared was not taken; it will be sent again');
      return false;
    }
    const blob = this.#toShare.shift();
    this.#shares.done();
    if (status === 'accepted' && blob) {
      await this.#sharing.given(blob.kind);
      log.info({ kind: blob.kind, bytes: blob.blob.length }, 'shared with the cloud');
    } else log.warn({ reason, detail }, 'the cloud did not want what is shared');
    this.#share();
    return false;
  }

  /** The cloud lost what it knew of this edge's last update: the same update once more, without reference to it. */
  async #encodeAgain(entry: OutboxEntry, { artifact, round, layout }: Now): Promise<boolean> {
    if (artifact?.sha256 !== entry.base || round?.round !== entry.round || !layout) return false;
    const again = encodeAgain(entry, layout, round.codec.options, this.means.identity.signer);
    await this.put(again);
    this.means.log.info(
      { round: entry.round, bytes: again.blob.length },
      'the update was coded again without a reference',
    );
    return true;
  }

  /** Asks to be known by this edge's key, with proof of its token, until the cloud has said yes. */
  #enrol(): void {
    const { signer, trust } = this.means.identity;
    const { config, client, topics } = this.means;
    const { tokenFile } = config.trust;
    if (!tokenFile || trust.isEnrolled(signer.key)) return;
    client.publish(topics.enrol(config.edge), enrolRequest(config, signer, readSecret(tokenFile)), { qos: 1 });
  }

  async #enrolled({ status, reason, detail }: Receipt): Promise<false> {
    const { identity, log } = this.means;
    if (status !== 'accepted') {
      log.error({ reason, detail }, 'a message was refused');
      return false;
    }
    await identity.trust.enrolled(identity.signer.key);
    log.info('enrolled');
    this.#send();
    return false;
  }
}
