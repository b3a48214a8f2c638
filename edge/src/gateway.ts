import type { Artifact } from '@ecavg/models';
import { Topics } from '@ecavg/protocol';
import type { InHand, Logger, Taken } from '@ecavg/runtime';
import type { EdgeConfig } from './config.js';
import { Inference } from './inference/inference.js';
import { type GatewayStatus, StatusFile } from './install/statusFile.js';
import { Learner } from './learning/learner.js';
import { RoundTraining } from './learning/roundTraining.js';
import type { Governor } from './power/governor.js';
import type { LocalData } from './samples/localData.js';
import { StreamData } from './samples/streamData.js';
import { StreamReporter } from './samples/streamReports.js';
import type { EdgeStore } from './uplink/edgeStore.js';
import type { Identity } from './uplink/identity.js';
import { Uplink } from './uplink/uplink.js';

interface GatewayParts {
  readonly config: EdgeConfig;
  readonly data: LocalData;
  readonly store: EdgeStore;
  readonly identity: Identity;
  readonly governor: Governor;
  readonly log: Logger;
}

/** A gateway: takes the versions that its cloud publishes, trains in the rounds that it opens, and answers its sensors meanwhile. */
export class Gateway {
  readonly #uplink: Uplink;
  readonly #learner: Learner;
  readonly #training: RoundTraining;
  /** Undefined where it is off. */
  readonly #inference: Inference | undefined;
  /** Undefined where the samples are those of a data set. */
  readonly #streams: StreamReporter | undefined;
  readonly #statusFile: StatusFile;

  constructor(private readonly parts: GatewayParts) {
    const { config, data, store, identity, governor, log } = parts;
    this.#statusFile = new StatusFile(config.dataDir, () => this.#status());
    this.#learner = new Learner({ config, data, store, signer: identity.signer, governor, log });
    this.#inference = config.infer.enabled ? this.#openInference() : undefined;
    this.#uplink = this.#openUplink();
    this.#training = this.#openTraining();
    this.#streams = data instanceof StreamData ? this.#openStreams(data) : undefined;
  }

  async start(): Promise<void> {
    await this.#inference?.start();
    await this.#uplink.follower.start();
    this.#statusFile.start();
    await this.#streams?.start();
  }

  /** False where what is queued has not moved for long, and no training explains it. */
  get healthy(): boolean {
    return this.#training.running || !this.#uplink.follower.steps.stuck;
  }

  async stop(): Promise<void> {
    this.#training.stop();
    await this.#uplink.stop();
    await this.#streams?.stop();
    await this.#inference?.stop();
    await this.#uplink.follower.close();
    await this.#statusFile.stop();
    await this.#learner.release();
  }

  #openUplink(): Uplink {
    const { config, data, store, identity, log } = this.parts;
    const inference = this.#inference;
    const { catchUpSeconds } = config.power;
    return new Uplink(
      { config, catchUpSeconds, store, identity, data, log },
      {
        // Who has not enough to train on yet is not waited for.
        present: () => ({ online: true, samples: data.ready ? data.samples : 0 }),
        taken: (now, about) => this.#taken(now, about),
        again: async ({ manifest }) => this.#uplink.reports.versionAgain(manifest),
        heard: (round) => this.#training.heard(round),
        round: () => this.#training.begin(),
        settled: ({ round }) => {
          this.#training.answered(round);
          return this.#training.begin();
        },
        layout: () => this.#learner.layout,
        retry: () => this.#training.begin(),
        changed: () => this.#statusFile.changed(),
        ...(inference && { more: { topics: [inference.topic], accept: (...of) => inference.accept(...of) } }),
      },
    );
  }

  #openTraining(): RoundTraining {
    const { config, data, store, governor, log } = this.parts;
    const { follower, reports } = this.#uplink;
    return new RoundTraining({
      edge: config.edge,
      learner: this.#learner,
      governor,
      store,
      data,
      log,
      now: () => ({
        round: follower.round,
        artifact: follower.following.kind === 'in-hand' ? follower.following.artifact : undefined,
        waits: follower.outbox.pending !== undefined,
      }),
      budget: (round) => this.#uplink.budget(round),
      put: (entry) => follower.outbox.put(entry),
      trained: async ({ round, base }, values) => {
        reports.trained(round, base.version, values);
        await this.#serve(base.version);
      },
      schedule: () => this.#trainSoon(),
      changed: () => this.#statusFile.changed(),
    });
  }

  #openInference(): Inference {
    const { config, data, store, log } = this.parts;
    const { fleet, edge, model, infer } = config;
    return new Inference({
      config: infer,
      topics: new Topics(fleet),
      edge,
      model,
      data,
      store,
      log,
      publish: (topic, payload) => this.#uplink.follower.publish(topic, payload),
      report: (values) => this.#uplink.reports.now('served', values),
    });
  }

  #openStreams(data: StreamData): StreamReporter {
    const { follower, reports } = this.#uplink;
    return new StreamReporter(
      data,
      {
        quality: (values, channels) => {
          // A link that is down would keep every one of them for later.
          if (!follower.connection.connected) return;
          reports.now('quality', values, channels);
          follower.tell();
        },
        drift: (values, channels) => reports.now('drift', values, channels),
        ready: () => {
          follower.tell();
          this.#trainSoon();
        },
      },
      this.parts.config.data.qualitySeconds,
      this.parts.log,
    );
  }

  /** A version is here: it is judged, served where it is good, reported on, and trained on where a round wants it. */
  async #taken({ artifact, manifest }: InHand<Artifact>, { bytesDown, signal }: Taken<Artifact>): Promise<void> {
    const { store, log } = this.parts;
    const { shares, reports } = this.#uplink;
    const { version, infer, train, canary, parent } = manifest;
    const { adopted, values } = await this.#learner.consider(artifact, signal);
    log.info({ version, adopted, ...values, bytesDown }, adopted ? 'adopted version' : 'kept the local model');
    await this.#serve(version);
    const shared = await shares.wanted(manifest, artifact);
    const asked = shared.some((s) => s.kind === 'features') ? { sharesFeatures: 1 } : {};
    reports.version(adopted ? 'adopted' : 'kept', manifest, values, { bytesDown, ...asked });
    shares.give(shared, artifact.sha256);
    // From a trial the way may lead back.
    const back = canary && parent ? [parent] : [];
    await store.blobs.prune(new Set([infer.sha256, train.sha256, ...back]));
    await this.#training.begin();
  }

  /** What the learner has in service now answers requests from here on. */
  async #serve(version: number): Promise<void> {
    const servable = this.#inference && this.#learner.servable(version);
    if (servable) await this.#inference?.serve(servable);
  }

  #trainSoon(): void {
    this.#uplink.follower.steps.run(() => this.#training.begin());
  }

  #status(): GatewayStatus {
    const { config, data, identity, governor } = this.parts;
    const { follower } = this.#uplink;
    const { tokenFile } = config.trust;
    const { paused } = governor;
    const { pending } = follower.outbox;
    const serving = this.#inference?.version;
    return {
      edge: config.edge,
      fleet: config.fleet,
      model: config.model,
      pid: process.pid,
      startedAt: identity.session,
      at: Date.now(),
      connected: follower.connection.connected,
      version: follower.version,
      round: follower.round?.round ?? 0,
      training: this.#training.running,
      ...(paused !== undefined && { paused }),
      samples: data.samples,
      ready: data.ready,
      ...(pending && { outbox: pending.round }),
      ...(serving !== undefined && { serving }),
      ...(tokenFile && { enrolled: identity.trust.isEnrolled(identity.signer.key) }),
      memoryMegabytes: process.memoryUsage.rss() / 1e6,
    };
  }
}
