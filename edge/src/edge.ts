import { setTimeout as sleep } from 'node:timers/promises';
import { type Artifact, ModelError, requireEngine } from '@ecavg/models';
import {
  decodeMessage,
  encodeMessage,
  type Manifest,
  type MetricsMessage,
  ProtocolError,
  type Receipt,
  type RoundMessage,
  Topics,
} from '@ecavg/protocol';
import {
  connectBroker,
  Downloader,
  Flow,
  type Logger,
  type MqttClient,
  SerialQueue,
  type Service,
} from '@ecavg/runtime';
import type { EdgeConfig } from './config.js';
import { InferenceDesk } from './inference/inference.js';
import { type GatewayStatus, StatusFile } from './install/statusFile.js';
import { Learner, type Values } from './learning/learner.js';
import { Absence } from './power/absence.js';
import { Governor } from './power/governor.js';
import type { LocalData } from './samples/localData.js';
import { openLocalData } from './samples/openData.js';
import { StreamData } from './samples/streamData.js';
import { StreamDesk } from './samples/streamReports.js';
import { EdgeStore, type Memory } from './uplink/edgeStore.js';
import { type Identity, openIdentity } from './uplink/identity.js';
import { Uplink } from './uplink/uplink.js';
import { Versions } from './uplink/versions.js';

const SOFTWARE = 'ecavg 0.1.0';
const FAREWELL_MS = 1000;

/** A download may take long; a step that takes longer hangs. */
const HUNG_MS = 3 * 3600_000;

/** Starts a gateway: it follows the model and round topics until it is stopped. */
export async function startEdge(config: EdgeConfig, log: Logger): Promise<Service> {
  await requireEngine(config.train);
  const store = new EdgeStore(config.dataDir);
  const identity = await openIdentity(config, store);
  const governor = new Governor(config.power, config.dataDir, log, config.train.threads);
  governor.start();
  const data = await openLocalData(config, identity.login, governor, log);
  const gateway = new Gateway(config, data, store, identity, governor, log);
  await gateway.start();
  return {
    healthy: () => gateway.healthy,
    ready: { edge: config.edge, samples: data.samples, simulatedData: data.simulated },
    stop: () => gateway.stop(),
  };
}

class Gateway {
  readonly #topics: Topics;
  readonly #learner: Learner;
  readonly #client: MqttClient;
  readonly #downloads: Downloader;
  readonly #versions: Versions;
  readonly #queue = new SerialQueue();
  readonly #absence: Absence;
  readonly #flow: Flow;
  readonly #uplink: Uplink;
  /** The last report on a version: said again where the cloud offers the same version once more. */
  #reported: { event: 'adopted' | 'kept'; values: Values } | undefined;
  readonly #stopped = new AbortController();
  #artifact: { artifact: Artifact; manifest: Manifest } | undefined;
  #manifest: Manifest | undefined;
  #round: RoundMessage | undefined;
  /** Newest round that an update was made for; a round is trained once. */
  #done = 0;
  #training: { round: number; abort: AbortController } | undefined;
  /** Ends the download in progress: its chunks go away when a newer version is published. */
  #fetching = new AbortController();
  /** What a stream of readings needs. */
  readonly #desk: StreamDesk | undefined;
  readonly #inference: InferenceDesk | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** When the step in hand began. */
  #busySince: number | undefined;
  readonly #statusFile: StatusFile;
  #again: NodeJS.Timeout | undefined;
  /** Until training may begin. */
  #later: NodeJS.Timeout | undefined;

  constructor(
    private readonly config: EdgeConfig,
    private readonly data: LocalData,
    private readonly store: EdgeStore,
    private readonly identity: Identity,
    private readonly governor: Governor,
    private readonly log: Logger,
  ) {
    this.#topics = new Topics(config.fleet);
    this.#absence = new Absence(config.power.catchUpSeconds);
    this.#learner = new Learner(config, data, store, identity.signer, governor, log);
    const will = { topic: this.#topics.status(config.edge), payload: this.#status(false) };
    const clientId = `ecavg-${config.fleet}-edge-${config.edge}`;
    this.#client = connectBroker(config.broker, { clientId, will, persistent: true, ...identity.login }, log);
    this.#flow = new Flow(this.#client, config.broker.transfer);
    const means = { config, topics: this.#topics, client: this.#client, flow: this.#flow, store, data, identity, log };
    this.#uplink = new Uplink(means);
    this.#downloads = new Downloader(this.#client, this.#topics, config.model, log);
    this.#versions = new Versions(store, this.#downloads, data, log);
    this.#statusFile = new StatusFile(config.dataDir, () => this.#statusNow());
    if (config.infer.enabled) this.#inference = this.#openInference();
    if (data instanceof StreamData) this.#desk = this.#openDesk(data);
  }

  async start(): Promise<void> {
    await this.#inference?.start();
    this.#done = await this.#uplink.open();
    this.#client.on('connect', () => this.#connected());
    this.#client.on('close', () => {
      this.#flow.clear();
      this.#absence.lost();
      this.#statusFile.changed();
    });
    this.#client.on('message', (topic, payload) => this.#message(topic, payload));
    if (this.#client.connected) this.#connected();
    this.#statusFile.start();
    await this.#desk?.start();
  }

  #openInference(): InferenceDesk {
    const { config, data, store, log } = this;
    const { edge, model } = config;
    return new InferenceDesk({
      config: config.infer,
      topics: this.#topics,
      edge,
      model,
      data,
      store,
      log,
      publish: (topic, payload) => this.#publish(topic, payload),
      report: (values) => this.#reportNow('served', values),
    });
  }

  /** What the learner has in service now answers requests from here on. */
  async #serve(version: number): Promise<void> {
    const servable = this.#inference && this.#learner.servable(version);
    if (servable) await this.#inference?.serve(servable);
  }

  #openDesk(data: StreamData): StreamDesk {
    return new StreamDesk(
      data,
      {
        quality: (values, channels) => {
          // A link that is down would keep every one of them for later.
          if (!this.#client.connected) return;
          this.#reportNow('quality', values, channels);
          this.#tellStatus();
        },
        drift: (values, channels) => this.#reportNow('drift', values, channels),
        ready: () => {
          this.#tellStatus();
          this.#schedule(() => this.#trainIfDue());
        },
      },
      this.config.data.qualitySeconds,
      this.log,
    );
  }

  /** False where what is queued has not moved for long, and no training explains it. */
  get healthy(): boolean {
    return (
      this.#training !== undefined || this.#busySince === undefined || performance.now() - this.#busySince < HUNG_MS
    );
  }

  #statusNow(): GatewayStatus {
    const { config, data } = this;
    const { tokenFile } = config.trust;
    const { paused } = this.governor;
    const { pending } = this.#uplink;
    const serving = this.#inference?.version;
    return {
      edge: config.edge,
      fleet: config.fleet,
      model: config.model,
      pid: process.pid,
      startedAt: this.identity.session,
      at: Date.now(),
      connected: this.#client.connected,
      version: this.#artifact?.manifest.version ?? 0,
      round: this.#round?.round ?? 0,
      training: this.#training !== undefined,
      ...(paused !== undefined && { paused }),
      samples: data.samples,
      ready: data.ready,
      ...(pending && { outbox: pending.round }),
      ...(serving !== undefined && { serving }),
      ...(tokenFile && { enrolled: this.identity.trust.isEnrolled(this.identity.signer.key) }),
      memoryMegabytes: process.memoryUsage.rss() / 1e6,
    };
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('stopping'));
    this.#training?.abort.abort(new Error('stopping'));
    this.#fetching.abort(new Error('stopping'));
    this.#uplink.stop();
    clearTimeout(this.#retry);
    clearTimeout(this.#again);
    clearTimeout(this.#later);
    await this.#queue.idle();
    await this.#desk?.stop();
    await this.#inference?.stop();
    if (this.#client.connected) {
      const farewell = Buffer.from(this.#status(false));
      const sent = this.#client.publishAsync(this.#topics.status(this.config.edge), farewell, { qos: 1, retain: true });
      // A broker that goes down at the same moment never answers; the last will says the same.
      await Promise.race([sent.catch(() => undefined), sleep(FAREWELL_MS, undefined, { ref: false })]);
    }
    await this.#client.endAsync(true);
    await this.#statusFile.stop();
    await this.#learner.release();
  }

  #connected(): void {
    const { edge, model } = this.config;
    const topics = [
      this.#topics.manifest(model),
      this.#topics.canary(model),
      this.#topics.round(model),
      this.#topics.receipt(edge, model),
      ...(this.#inference ? [this.#inference.topic] : []),
    ];
    this.#client.subscribe(topics, { qos: 1 }, (error) => {
      if (error) this.log.warn({ err: error }, 'subscription failed');
    });
    this.#tellStatus();
    this.#statusFile.changed();
    const waitMs = this.#absence.back();
    if (waitMs > 0) this.log.info({ waitMs: Math.round(waitMs) }, 'back after a long time: catching up in a while');
    const waited = waitMs > 0 ? sleep(waitMs, undefined, { signal: this.#stopped.signal }) : undefined;
    // Versions that came meanwhile, and training, wait in the queue. A download that was cut off stands in it already, and goes on from here.
    if (waited) this.#schedule(() => waited);
    const resume = (): void => {
      this.#downloads.resume();
      this.#uplink.resume();
    };
    if (waited) waited.then(resume, () => undefined);
    else resume();
  }

  #message(topic: string, payload: Uint8Array): void {
    if (this.#downloads.accept(topic, payload) || this.#inference?.accept(topic, payload)) return;
    const { edge, model } = this.config;
    try {
      if (topic === this.#topics.manifest(model)) this.#onManifest(decodeMessage('manifest', payload));
      else if (topic === this.#topics.canary(model)) this.#onCanary(payload);
      else if (topic === this.#topics.round(model)) this.#onRound(decodeMessage('round', payload));
      else if (topic === this.#topics.receipt(edge, model)) this.#onReceipt(decodeMessage('receipt', payload));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.log.warn({ topic, reason: error.reason, detail: error.message }, 'message refused');
    }
  }

  #onManifest(manifest: Manifest): void {
    if (manifest.fleet !== this.config.fleet || manifest.model !== this.config.model) {
      throw new ProtocolError('identity-mismatch', `manifest of ${manifest.fleet}/${manifest.model}`);
    }
    this.identity.trust.check(manifest);
    if (manifest.infer.sha256 === this.#manifest?.infer.sha256) {
      this.#schedule(() => this.#sameVersion(manifest));
      return;
    }
    this.#manifest = manifest;
    clearTimeout(this.#retry);
    this.#fetching.abort(new Error(`version ${manifest.version} was published`));
    const fetching = new AbortController();
    this.#fetching = fetching;
    this.#schedule(() => this.#takeVersion(manifest, fetching.signal));
  }

  /** A version on trial concerns the edges that it names; an empty message ends the trial. */
  #onCanary(payload: Uint8Array): void {
    if (payload.length === 0) return;
    const manifest = decodeMessage('manifest', payload);
    if (manifest.canary?.includes(this.config.edge)) this.#onManifest(manifest);
  }

  /** The weights are in hand already; their version may have another number now, or the cloud asks once more. */
  async #sameVersion(manifest: Manifest): Promise<void> {
    const current = this.#artifact;
    if (current?.artifact.sha256 !== manifest.infer.sha256) return;
    await this.identity.trust.remember(manifest);
    const again = manifest.version !== current.manifest.version || manifest.canary !== undefined;
    this.#artifact = { artifact: current.artifact, manifest };
    if (again && this.#reported)
      this.#report(this.#reported.event, manifest.round, manifest.version, this.#reported.values);
  }

  #onRound(round: RoundMessage): void {
    this.identity.trust.check(round);
    this.#round = round;
    this.#uplink.opened(round);
    const training = this.#training;
    const goesOn = round.mode === 'async' && round.state === 'open';
    if (training && !goesOn && (round.round !== training.round || round.state === 'closed')) {
      training.abort.abort(new Error(`round ${training.round} is over`));
    }
    this.#schedule(async () => {
      await this.identity.trust.remember(round);
      await this.#trainIfDue();
    });
  }

  #onReceipt(receipt: Receipt): void {
    this.#schedule(async () => {
      const now = { artifact: this.#artifact?.artifact, round: this.#round, layout: this.#learner.layout };
      if (await this.#uplink.settle(receipt, now)) await this.#trainIfDue();
    });
  }

  /** Runs a step after those before it; what goes wrong is logged and the gateway goes on. */
  #schedule(step: () => Promise<void>): void {
    void this.#queue.run(async () => {
      if (this.#stopped.signal.aborted) return;
      this.#busySince = performance.now();
      try {
        await step();
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (error instanceof ProtocolError) {
          this.log.warn({ reason: error.reason, detail: error.message }, 'refused');
        } else this.log.error({ err: error }, 'step failed; it will be tried again');
        // A full disk may have room later; a message that was refused changes nothing.
        clearTimeout(this.#again);
        this.#again = setTimeout(() => this.#schedule(() => this.#trainIfDue()), this.config.resendSeconds * 1000);
      } finally {
        this.#busySince = undefined;
        this.#statusFile.changed();
      }
    });
  }

  async #takeVersion(manifest: Manifest, signal: AbortSignal): Promise<void> {
    // A newer manifest came while this one waited in the queue.
    if (manifest !== this.#manifest) return;
    await this.identity.trust.remember(manifest);
    const before = this.#downloads.bytes;
    let artifact: Artifact;
    try {
      artifact = await this.#versions.load(manifest, this.#artifact?.artifact, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#manifest = undefined;
      this.#retry = setTimeout(() => this.#onManifest(manifest), this.config.resendSeconds * 1000);
      throw error;
    }
    this.#artifact = { artifact, manifest };
    const { adopted, values } = await this.#learner.consider(artifact, signal);
    const { version, round } = manifest;
    const bytesDown = this.#downloads.bytes - before;
    this.log.info({ version, adopted, ...values, bytesDown }, adopted ? 'adopted version' : 'kept the local model');
    this.#reported = { event: adopted ? 'adopted' : 'kept', values: { ...values, bytesDown: 0 } };
    await this.#serve(version);
    const shared = await this.#uplink.wanted(manifest, artifact);
    const asked = shared.some((s) => s.kind === 'features') ? { sharesFeatures: 1 } : {};
    this.#report(this.#reported.event, round, version, { ...values, bytesDown, ...asked });
    this.#uplink.share(shared, artifact.sha256);
    // From a trial the way may lead back.
    const back = manifest.canary && manifest.parent ? [manifest.parent] : [];
    await this.store.pruneBlobs(new Set([manifest.infer.sha256, manifest.train.sha256, ...back]));
    await this.#trainIfDue();
  }

  async #trainIfDue(): Promise<void> {
    const round = this.#round;
    const current = this.#artifact;
    if (round?.state !== 'open' || round.round <= this.#done || this.#uplink.pending || !this.data.ready) return;
    if (round.participants && !round.participants.includes(this.config.edge)) return;
    if (current?.artifact.sha256 !== round.base.sha256) return;
    const waitMs = await this.governor.wait();
    if (waitMs > 0) {
      clearTimeout(this.#later);
      this.#later = setTimeout(() => this.#schedule(() => this.#trainIfDue()), waitMs);
      return;
    }
    const abort = new AbortController();
    this.#training = { round: round.round, abort };
    this.#statusFile.changed();
    try {
      const memory = (length: number): Promise<Memory> => this.store.memory(length);
      const budget = (): number | undefined => this.#uplink.budget(round);
      const { entry, values } = await this.#learner.train(current.artifact, round, memory, budget, abort.signal);
      await this.#uplink.put(entry);
      this.#done = round.round;
      this.log.info({ round: round.round, ...values }, 'trained');
      this.#report('trained', round.round, round.base.version, values);
      await this.#serve(round.base.version);
    } catch (error) {
      if (abort.signal.aborted) {
        this.log.info({ round: round.round }, 'stopped training: the round is over');
      } else if (error instanceof ModelError) {
        // Training again would end the same way.
        this.#done = round.round;
        this.log.error({ round: round.round, detail: error.message }, 'this gateway sits out the round');
      } else throw error;
    } finally {
      this.#training = undefined;
    }
  }

  /** Of the round and the version in hand. */
  #reportNow(event: MetricsMessage['event'], values: Values, channels?: Record<string, Values>): void {
    this.#report(event, this.#round?.round ?? 0, this.#artifact?.manifest.version ?? 0, values, channels);
  }

  #tellStatus(): void {
    this.#publish(this.#topics.status(this.config.edge), this.#status(true), true);
  }

  #report(
    event: MetricsMessage['event'],
    round: number,
    version: number,
    values: Values,
    channels?: Record<string, Values>,
  ): void {
    const { edge, model } = this.config;
    const body = { edge, model, event, round, version, values, ...(channels && { channels }) };
    this.#publish(this.#topics.metrics(edge), encodeMessage('metrics', body));
  }

  #status(online: boolean): Uint8Array {
    return encodeMessage('status', {
      edge: this.config.edge,
      online,
      session: this.identity.session,
      software: SOFTWARE,
      // Who has not enough to train on yet is not waited for.
      samples: this.data.ready ? this.data.samples : 0,
      models: { [this.config.model]: this.#artifact?.manifest.version ?? 0 },
    });
  }

  #publish(topic: string, payload: Uint8Array, retain = false): void {
    this.#client.publish(topic, Buffer.from(payload), { qos: 1, retain }, (error) => {
      if (error) this.log.debug({ err: error, topic }, 'message not delivered');
    });
  }
}
