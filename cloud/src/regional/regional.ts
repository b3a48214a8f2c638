// Regional aggregators: to the cloud one edge, to a shard of the edges their cloud.
// May use inbox, judging, versions and fleet for its edges, and the follower of the runtime for its way up.
import { join } from 'node:path';
import { type Artifact, readArtifact, updateArtifact } from '@ecavg/models';
import { CodedError, codec, decodeUpdate, encodeMessage, PRESETS } from '@ecavg/protocol';
import {
  BlobStore,
  Follower,
  type Identity,
  type InHand,
  type Logger,
  type Outcome,
  openDataFolder,
  openIdentity,
  type Service,
  SOFTWARE,
} from '@ecavg/runtime';
import { Members } from '../fleet/members.js';
import { RoundStore } from '../inbox/roundStore.js';
import type { RegionalConfig } from './config.js';
import { Downlink, type Serving } from './downlink.js';
import { EdgeReports } from './edgeReports.js';
import { partial } from './partial.js';
import { RegionalRound } from './regionalRound.js';
import { type PartialAggregate, UpstreamStore } from './upstreamStore.js';

/**
 * Starts a regional aggregator: it passes versions and rounds on to its edges, sums up their updates and sends the cloud one, weighed by all their
 * samples. Weighted sums are associative, so that the cloud's average is what it would be without regions.
 */
export async function startRegional(config: RegionalConfig, log: Logger): Promise<Service> {
  const { dataDir, model } = config;
  const { name, broker, cloudKey } = config.upstream;
  await openDataFolder(dataDir, 'region');
  const folder = join(dataDir, 'upstream');
  const keyFile = join(dataDir, 'keys', 'cloud.pem');
  const identity = await openIdentity({ edge: name, keyFile, folder, broker, cloudKey });
  const region = new Region({
    config,
    identity,
    rounds: await RoundStore.open(join(dataDir, 'rounds', model.id)),
    upstream: await UpstreamStore.open(folder, (err) => log.error({ err }, 'a file was damaged and counts as none')),
    blobs: new BlobStore(join(folder, 'blobs')),
    log,
  });
  await region.start();
  return {
    healthy: () => region.healthy,
    ready: {
      role: 'regional',
      fleet: config.fleet,
      model: model.id,
      upstream: name,
      cloudKey: identity.signer.key,
    },
    stop: () => region.stop(),
  };
}

interface RegionParts {
  readonly config: RegionalConfig;
  readonly identity: Identity;
  readonly rounds: RoundStore;
  readonly upstream: UpstreamStore;
  readonly blobs: BlobStore;
  readonly log: Logger;
}

class Region {
  readonly #members = new Members();
  /** The way up: what this region is towards the cloud, an edge. */
  readonly #follower: Follower<Artifact, PartialAggregate>;
  readonly #downlink: Downlink;
  readonly #round: RegionalRound<Serving>;
  readonly #reports: EdgeReports;
  #tick: NodeJS.Timeout | undefined;

  constructor(private readonly parts: RegionParts) {
    // Handlers of each of these reach the others through this object. They run from start() on, when all four are there.
    this.#follower = this.#openFollower();
    this.#downlink = this.#openDownlink();
    this.#round = this.#openRound();
    this.#reports = this.#openReports();
  }

  get healthy(): boolean {
    return !this.#follower.steps.stuck;
  }

  async start(): Promise<void> {
    await this.#follower.start();
    this.#downlink.start();
    const { resendSeconds } = this.parts.config.upstream;
    this.#tick = setInterval(() => this.#follower.steps.run(() => this.#round.look()), resendSeconds * 1000);
  }

  async stop(): Promise<void> {
    clearInterval(this.#tick);
    this.#round.stop();
    this.#reports.stop();
    await this.#follower.stop();
    await this.#follower.close();
    await this.#downlink.stop();
  }

  #openFollower(): Follower<Artifact, PartialAggregate> {
    const { config, identity, upstream, blobs, log } = this.parts;
    const { fleet, name, broker, tokenFile, resendSeconds, catchUpSeconds } = config.upstream;
    return new Follower<Artifact, PartialAggregate>(
      {
        names: { fleet, edge: name, model: config.model.id },
        broker,
        identity: { ...identity, login: { username: name, ...identity.login } },
        tokenFile,
        resendSeconds,
        catchUpSeconds,
        // Trials do not reach through a region.
        canary: false,
        software: `${SOFTWARE} (regional)`,
        models: { read: readArtifact, withWeights: updateArtifact },
        blobs,
        outbox: {
          load: () => upstream.load(),
          save: (entry) => upstream.save(entry),
          settle: (entry, outcome) => upstream.settle(this.#complete(entry, outcome), outcome),
        },
        log,
      },
      {
        present: () => this.#present(),
        fits: (_, artifact) => this.#downlink.fits(artifact),
        taken: (now, { bytesDown, signal }) => this.#passOn(now, bytesDown, signal),
        again: (now) => this.#passOn(now, 0, this.#follower.steps.stopped),
        round: (round) => this.#round.heard(round),
        settled: () => this.#round.advance(),
        retry: () => this.#round.look(),
      },
    );
  }

  #openDownlink(): Downlink {
    const { config, identity, rounds, log } = this.parts;
    const follower = this.#follower;
    return new Downlink(
      { config, signer: identity.signer, store: rounds, log },
      {
        admit: (chunk) => this.#round.admit(chunk),
        accepted: () => this.#round.advance(),
        status: async (message) => {
          if (config.model.id in message.models) this.#members.status(message);
          follower.tell();
          await this.#round.advance();
        },
        report: async (message) => {
          this.#members.report(message);
          this.#reports.came();
        },
        schedule: (step) => follower.steps.run(step),
      },
    );
  }

  #openRound(): RegionalRound<Serving> {
    const { config, rounds, upstream, identity, log } = this.parts;
    const { name, fleet, preset } = config.upstream;
    const follower = this.#follower;
    const downlink = this.#downlink;
    return new RegionalRound<Serving>({
      config,
      name,
      store: rounds,
      members: this.#members,
      log,
      newest: () => follower.round,
      serving: () => downlink.serving,
      announce: (...of) => downlink.announce(...of),
      pending: () => follower.outbox.pending,
      settledRound: () => upstream.settledRound,
      make: async ({ artifact, aggregator }, round, updates) =>
        partial({
          names: { fleet, edge: name, model: config.model.id },
          round,
          artifact,
          aggregator,
          updates,
          residual: await upstream.residual(artifact.layout.total),
          options: PRESETS[preset],
          signer: identity.signer,
        }),
      put: (made) => follower.outbox.put(made),
      schedule: () => follower.steps.run(() => this.#round.advance()),
    });
  }

  #openReports(): EdgeReports {
    const { config } = this.parts;
    const { name: edge } = config.upstream;
    const follower = this.#follower;
    return new EdgeReports({
      members: this.#members,
      settleSeconds: config.rounds.settleSeconds,
      send: ({ round, version }, values) => {
        const body = { edge, model: config.model.id, event: 'adopted', round, version, values } as const;
        follower.publish(follower.topics.metrics(edge), encodeMessage('metrics', body));
      },
    });
  }

  async #passOn({ manifest, artifact }: InHand<Artifact>, bytesDown: number, signal: AbortSignal): Promise<void> {
    const { blobs, log } = this.parts;
    const { infer, train, difference, version } = manifest;
    const follower = this.#follower;
    // Its edges add it to what they have, as this region did.
    const added = difference && (await follower.fetch(difference, signal));
    await this.#downlink.version(manifest, artifact, added);
    log.info({ version, bytesDown }, 'passed on a version');
    follower.tell();
    this.#reports.expect(manifest, { bytesDown });
    await blobs.prune(new Set([infer.sha256, train.sha256, ...(difference ? [difference.sha256] : [])]));
    if (follower.round) await this.#round.heard(follower.round);
  }

  /** Release 0.1.0 kept no more of an update than its blob; what it carried is in there, as coding left it. */
  #complete(entry: PartialAggregate, outcome: Outcome): PartialAggregate {
    if (outcome !== 'given-back' || entry.wanted) return entry;
    const { following } = this.#follower;
    if (following.kind === 'no-version')
      throw new CodedError('ECAVG_NOT_READY', 'what the update carried can be read once a version is here');
    const { layout } = following.artifact;
    const { header, payload } = decodeUpdate(entry.blob);
    const wanted = new Float32Array(layout.total);
    codec(header.codec).accumulate(payload, layout, 1, wanted);
    return { ...entry, wanted };
  }

  /** Online for the cloud while enough of its edges are. */
  #present(): { online: boolean; samples: number } {
    const online = this.#members.all.filter((m) => m.online);
    return {
      online: online.length >= this.parts.config.rounds.minEdges,
      samples: online.reduce((a, m) => a + m.samples, 0),
    };
  }
}
