// Room uplink: all that a gateway hears from its cloud and says to it, over the follower of the runtime.
// May import power; what it needs of the rooms that make samples and updates has a type here.
import { type Artifact, readArtifact, updateArtifact, type View } from '@ecavg/models';
import { type Layout, type Manifest, ProtocolError, type Receipt, type RoundMessage } from '@ecavg/protocol';
import { Follower, type FollowerHandlers, type Logger, type Outcome, Sender, SOFTWARE } from '@ecavg/runtime';
import type { UplinkConfig } from './config.js';
import type { EdgeStore, Memory, OutboxEntry } from './edgeStore.js';
import { encodeAgain } from './encodeUpdateEntry.js';
import type { Identity } from './identity.js';
import { LinkSpeed } from './linkSpeed.js';
import { Reports } from './reports.js';
import { Shares } from './shares.js';
import { Sharing } from './sharing.js';

/** What an update leaves behind for the next one. */
const CARRIED: Readonly<Record<Outcome, (entry: OutboxEntry) => Memory>> = {
  accepted: (entry) => entry.ifAccepted,
  'given-back': (entry) => entry.ifRejected,
  dropped: () => ({}),
};

interface UplinkParts {
  readonly config: UplinkConfig;
  /** The setting `power.catchUpSeconds`. */
  readonly catchUpSeconds: number;
  readonly store: EdgeStore;
  readonly identity: Identity;
  readonly log: Logger;
  readonly data: {
    /** Of one sample. */
    readonly shape: readonly number[];
    /** How a stream is cut into windows; see streamDigest. */
    readonly stream: string | undefined;
    readonly train: View;
  };
}

type Handlers = FollowerHandlers<Artifact, OutboxEntry>;

/** What the gateway makes of it; see FollowerHandlers. */
export interface UplinkHandlers
  extends Pick<Handlers, 'present' | 'taken' | 'again' | 'round' | 'settled' | 'retry' | 'changed' | 'more'> {
  /** Training for a round that is over ends. */
  heard(round: RoundMessage): void;
  /** Of the updates that are made here; undefined before the first version. */
  layout(): Layout | undefined;
}

/** A gateway's way to its cloud and back. */
export class Uplink {
  readonly follower: Follower<Artifact, OutboxEntry>;
  readonly reports: Reports;
  readonly shares: Shares;
  readonly #link = new LinkSpeed();

  constructor(
    private readonly parts: UplinkParts,
    private readonly handlers: UplinkHandlers,
  ) {
    const { config, catchUpSeconds, store, identity, log, data } = parts;
    const { fleet, edge, model, broker, resendSeconds } = config;
    this.follower = new Follower<Artifact, OutboxEntry>(
      {
        names: { fleet, edge, model },
        broker,
        identity,
        tokenFile: config.trust.tokenFile,
        resendSeconds,
        catchUpSeconds,
        canary: true,
        software: SOFTWARE,
        models: { read: readArtifact, withWeights: updateArtifact },
        blobs: store.blobs,
        outbox: {
          load: () =>
            store.outbox((err) =>
              log.error({ err, why: String(err.cause ?? err.message) }, 'the outbox was damaged and is set aside'),
            ),
          save: (entry) => store.saveOutbox(entry),
          settle: (entry, outcome) => store.settle(CARRIED[outcome](entry)),
        },
        log,
      },
      {
        ...handlers,
        fits: (manifest, artifact) => this.#fits(manifest, artifact),
        heard: (round) => {
          this.#link.opened(round);
          handlers.heard(round);
        },
        encodeAgain: (entry) => this.#encodeAgain(entry),
        settled: async (entry, outcome) => {
          if (outcome === 'accepted') this.#link.received(entry);
          await handlers.settled(entry, outcome);
        },
        sending: (id) => this.#link.sending({ id }),
        receipt: (receipt: Receipt) => this.shares.answered(receipt),
        resumed: () => this.shares.resume(),
      },
    );
    const { topics, steps, connection } = this.follower;
    const { client, flow } = connection;
    this.shares = new Shares({
      edge,
      model,
      topic: topics.share(edge, model),
      sharing: new Sharing(config, data, store, identity.signer),
      sender: new Sender({ client, flow, chunkBytes: broker.transfer.chunkBytes, resendSeconds, log }),
      steps,
      log,
    });
    this.reports = new Reports({
      edge,
      model,
      topic: topics.metrics(edge),
      publish: (topic, payload) => this.follower.publish(topic, payload),
      now: () => ({ round: this.follower.round?.round ?? 0, version: this.follower.version }),
    });
  }

  /** Bytes that the link carries in time, for an update of this round; undefined before it was measured. */
  budget(round: RoundMessage): number | undefined {
    return this.#link.budget(round);
  }

  /** Ends what goes on; `follower.close` says so to the cloud. */
  async stop(): Promise<void> {
    await this.follower.stop();
    this.shares.stop();
  }

  #fits({ stream }: Manifest, { info }: Artifact): void {
    const { data } = this.parts;
    const sample = info.input.shape.slice(1);
    if (sample.join() !== data.shape.join()) {
      throw new ProtocolError(
        'layout-mismatch',
        `the model takes samples of shape [${sample.join(', ')}]; this gateway has [${data.shape.join(', ')}]`,
      );
    }
    if (stream !== data.stream) {
      throw new ProtocolError(
        'layout-mismatch',
        'the model was made for windows cut in another way: data.stream must be the same here and in the cloud',
      );
    }
  }

  async #encodeAgain(entry: OutboxEntry): Promise<OutboxEntry | undefined> {
    const { following, round } = this.follower;
    const layout = this.handlers.layout();
    if (following.kind === 'no-version' || following.artifact.sha256 !== entry.base || !layout) return undefined;
    if (round?.round !== entry.round) return undefined;
    return encodeAgain(entry, layout, round.codec.options, this.parts.identity.signer);
  }
}
