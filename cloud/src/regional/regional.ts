import { join } from 'node:path';
import { type Artifact, readArtifact } from '@ecavg/models';
import {
  codec,
  decodeMessage,
  decodeUpdate,
  encodeUpdate,
  type Manifest,
  PRESETS,
  ProtocolError,
  parseEdgeTopic,
  type RoundMessage,
  Signer,
  sha256Hex,
  Topics,
} from '@ecavg/protocol';
import {
  connectBroker,
  type Logger,
  type MqttClient,
  readIfThere,
  readOrCreate,
  SerialQueue,
  type Service,
  writeDurable,
} from '@ecavg/runtime';
import { strategySchema } from '../aggregation/config.js';
import { EdgeKeys } from '../fleet/edgeKeys.js';
import { Members } from '../fleet/members.js';
import { Inbox } from '../inbox/inbox.js';
import { Receipts } from '../inbox/receipts.js';
import { RoundStore } from '../inbox/roundStore.js';
import { Slices } from '../inbox/slices.js';
import { Aggregator } from '../judging/aggregator.js';
import { Publisher } from '../versions/publisher.js';
import type { Version } from '../versions/registry.js';
import type { RegionalConfig } from './config.js';
import { type Outbox, Upstream } from './upstream.js';

/** Refusals of a sound aggregate: what it carried goes into the next one. */
const GIVE_BACK: ReadonlySet<string> = new Set(['round-closed', 'base-mismatch']);

/**
 * Starts a regional aggregator: it passes versions and rounds on to its edges, sums up their updates and sends the cloud one, weighed by all their
 * samples. Weighted sums are associative, so that the cloud's average is what it would be without regions.
 */
export async function startRegional(config: RegionalConfig, log: Logger): Promise<Service> {
  const signer = Signer.fromPem(
    await readOrCreate(join(config.dataDir, 'keys', 'cloud.pem'), () => Signer.generate().toPem()),
  );
  const region = new Region(config, signer, log);
  await region.start();
  return {
    ready: {
      role: 'regional',
      fleet: config.fleet,
      model: config.model.id,
      upstream: config.upstream.name,
      cloudKey: signer.key,
    },
    stop: () => region.stop(),
  };
}

/** What there is once a version is known. */
interface Following {
  readonly manifest: Manifest;
  readonly artifact: Artifact;
  readonly inbox: Inbox;
  readonly aggregator: Aggregator;
}

class Region {
  readonly #topics: Topics;
  readonly #members = new Members();
  readonly #queue = new SerialQueue();
  readonly #stopped = new AbortController();
  readonly #client: MqttClient;
  #publisher: Publisher | undefined;
  #store: RoundStore | undefined;
  #upstream: Upstream | undefined;
  #following: Following | undefined;
  #wanted: Manifest | undefined;
  #round: RoundMessage | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #settle: NodeJS.Timeout | undefined;
  #reported = 0;
  #fetching = new AbortController();
  /** A version that could not be taken. */
  #missed: Manifest | undefined;
  #tick: NodeJS.Timeout | undefined;

  constructor(
    private readonly config: RegionalConfig,
    private readonly signer: Signer,
    private readonly log: Logger,
  ) {
    this.#topics = new Topics(config.fleet);
    const clientId = `ecavg-${config.fleet}-cloud-${config.model.id}`;
    this.#client = connectBroker(config.broker, { clientId }, log);
  }

  async start(): Promise<void> {
    const { config, log } = this;
    this.#store = await RoundStore.open(join(config.dataDir, 'rounds', config.model.id));
    const opening = Upstream.open(
      config,
      this.signer,
      {
        manifest: (manifest) => this.#onManifest(manifest),
        round: (round) => this.#schedule(() => this.#onRound(round)),
        settled: (outbox, accepted, reason) => this.#settled(outbox, accepted, reason),
      },
      log,
    );
    // First on the queue: no message is handled before there is a way up.
    await this.#queue.run(async () => {
      this.#upstream = await opening;
    });
    const every = config.upstream.resendSeconds * 1000;
    this.#tick = setInterval(() => this.#schedule(() => this.#look()), every);
    this.#client.on('message', (topic, payload) => this.#schedule(() => this.#message(topic, payload)));
    this.#client.on('connect', () => this.#schedule(() => this.#connected()));
    if (this.#client.connected) this.#schedule(() => this.#connected());
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('stopping'));
    this.#fetching.abort(new Error('stopping'));
    clearTimeout(this.#deadline);
    clearTimeout(this.#settle);
    clearInterval(this.#tick);
    await this.#queue.idle();
    await this.#upstream?.stop();
    await this.#client.endAsync(true);
  }

  #schedule(step: () => Promise<void>): void {
    void this.#queue.run(async () => {
      if (this.#stopped.signal.aborted) return;
      try {
        await step();
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (error instanceof ProtocolError) this.log.warn({ reason: error.reason, detail: error.message }, 'refused');
        else this.log.error({ err: error }, 'step failed');
      }
    });
  }

  /** Looks whether anything was missed: a version that failed, a round that came too early, a deadline. */
  async #look(): Promise<void> {
    const missed = this.#missed;
    if (missed && missed === this.#wanted) {
      this.#missed = undefined;
      this.#wanted = undefined;
      this.#onManifest(missed);
    }
    const round = this.#round;
    if (round?.state === 'open' && this.#store?.state?.round !== round.round) await this.#onRound(round);
    else await this.#advance();
  }

  async #connected(): Promise<void> {
    await this.#publisher?.repeat();
    await this.#client.subscribeAsync(this.#topics.cloudSubscriptions, { qos: 1 });
  }

  #onManifest(manifest: Manifest): void {
    if (manifest.infer.sha256 === this.#wanted?.infer.sha256 && manifest.version === this.#wanted.version) return;
    this.#wanted = manifest;
    this.#fetching.abort(new Error(`version ${manifest.version} was published`));
    const fetching = new AbortController();
    this.#fetching = fetching;
    this.#schedule(async () => {
      try {
        await this.#takeVersion(manifest, fetching.signal);
      } catch (error) {
        // What could not be fetched is tried again, unless a newer version has come.
        if (!fetching.signal.aborted && this.#wanted === manifest) this.#missed = manifest;
        throw error;
      }
    });
  }

  /** Fetches a version and passes it on, byte for byte. */
  async #takeVersion(manifest: Manifest, signal: AbortSignal): Promise<void> {
    const { config, log } = this;
    const upstream = this.#upstream;
    const store = this.#store;
    if (manifest !== this.#wanted || !upstream || !store) return;
    await upstream.remember(manifest);
    const before = this.#following;
    const fetch = (ref: Manifest['infer']): Promise<Uint8Array> => upstream.downloads.fetch(ref, signal);
    const train =
      before?.manifest.train.sha256 === manifest.train.sha256 ? before.artifact.train : await fetch(manifest.train);
    const artifact = readArtifact(await fetch(manifest.infer), train);
    const difference = manifest.difference && (await fetch(manifest.difference));
    if (before && before.artifact.layout.hash !== artifact.layout.hash)
      throw new Error('the model has another layout now: start this aggregator again');
    const strategy = strategySchema.parse({ clip: 0 });
    const slices = new Slices(artifact, strategy.combiner);
    const folder = join(config.dataDir, 'rounds', config.model.id);
    this.#following = {
      manifest,
      artifact,
      aggregator: new Aggregator({ strategy }, folder, store.references, slices),
      inbox: before?.inbox ?? this.#makeInbox(artifact, slices, store),
    };
    this.#publisher ??= new Publisher({
      client: this.#client,
      signer: this.signer,
      topics: this.#topics,
      model: config.model.id,
      task: {
        classes: manifest.classes,
        simulated: manifest.simulatedData,
        ...(manifest.stream !== undefined && { stream: manifest.stream }),
      },
      wholeBytes: config.publish.wholeBytes,
      transfer: config.broker.transfer,
      log,
    });
    await this.#publisher.version(asVersion(manifest), artifact, before && asVersion(before.manifest), difference);
    log.info({ version: manifest.version }, 'passed on a version');
    this.#tell();
    clearTimeout(this.#settle);
    this.#settle = setTimeout(
      () => this.#schedule(async () => this.#reportVersion(true)),
      config.rounds.settleSeconds * 1000,
    );
    const round = this.#round;
    if (round) await this.#onRound(round);
  }

  #makeInbox(artifact: Artifact, slices: Slices, store: RoundStore): Inbox {
    const { config, log } = this;
    return new Inbox({
      receipts: new Receipts({ topics: this.#topics, client: this.#client, log }),
      keys: new EdgeKeys(join(config.dataDir, 'keys'), config.enrolment.mode),
      log,
      updates: {
        model: config.model.id,
        layout: artifact.layout,
        slices,
        store,
        temporal: true,
        admit: ({ round, base }) => {
          const open = store.state;
          if (open?.phase !== 'open' || open.round !== round)
            throw new ProtocolError('round-closed', `update for round ${round}, which is not open in this region`);
          if (open.base.sha256 !== base)
            throw new ProtocolError('base-mismatch', `update to base ${base.slice(0, 12)}`);
        },
        accepted: () => this.#advance(),
      },
    });
  }

  async #onRound(round: RoundMessage): Promise<void> {
    const { store, following, upstream } = this.#parts();
    this.#round = round;
    if (!store || !following || !upstream) return;
    await upstream.remember(round);
    const state = store.state;
    const mine = !round.participants || round.participants.includes(this.config.upstream.name);
    const open = round.state === 'open' && mine && round.base.sha256 === following.artifact.sha256;
    if (state && state.phase !== 'done' && (state.round !== round.round || round.state === 'closed')) {
      this.log.warn({ round: state.round }, 'the cloud has closed the round');
      clearTimeout(this.#deadline);
      await store.finish();
      await this.#announce(round, 'closed', state.deadlineAt);
    }
    if (!open || upstream.outbox?.round === round.round || (store.state?.round ?? 0) > round.round) return;
    if (store.state?.round === round.round && store.state.phase === 'done') return;
    const now = Date.now();
    // The cloud's clock may be off: its round's length counts, from when the message came.
    const length = Math.max(0, round.deadlineAt - round.openedAt) * this.config.rounds.deadlineShare;
    const deadlineAt = store.state?.round === round.round ? store.state.deadlineAt : now + length;
    if (store.state?.round !== round.round) {
      const participants = this.#members.online;
      const { base, hyper } = round;
      const shared = { selected: false, epochs: hyper.epochs };
      await store.save({ round: round.round, phase: 'open', base, openedAt: now, deadlineAt, participants, ...shared });
    }
    this.log.info({ round: round.round, online: this.#members.online.length }, 'round opened');
    await this.#announce(round, 'open', deadlineAt);
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#schedule(() => this.#advance()), Math.max(0, deadlineAt - now) + 5);
    await this.#advance();
  }

  async #announce(round: RoundMessage, state: 'open' | 'closed', deadlineAt: number): Promise<void> {
    const { base, hyper, codec: coding, openedAt, model, mode } = round;
    const body = {
      model,
      round: round.round,
      state,
      base,
      openedAt,
      deadlineAt: Math.max(openedAt, deadlineAt),
      hyper,
    };
    await this.#publisher?.round({ ...body, codec: coding, ...(mode && { mode }) });
  }

  /** Closes the region's round where everybody has answered, or at its deadline. */
  async #advance(): Promise<void> {
    const { store, following, upstream } = this.#parts();
    const state = store?.state;
    if (!store || !following || !upstream || !state || state.phase === 'done') return;
    // A crash came after the partial aggregate was stored: only the end of the round is left to write.
    if (state.phase === 'closing' && upstream.has(state.round)) return store.finish();
    const accepted = store.accepted.length;
    const has = new Set(store.accepted.map((a) => a.header.edge));
    // Of those who were there at the opening some may not have been heard of yet, after a restart.
    const expected = new Set([...this.#members.online, ...state.participants.filter((e) => !this.#members.knows(e))]);
    const waiting = [...expected].filter((e) => !has.has(e));
    const overdue = Date.now() >= state.deadlineAt;
    if (accepted === 0 || (waiting.length > 0 && !overdue)) return;
    if (accepted < this.config.rounds.quorum * state.participants.length)
      this.log.warn({ round: state.round, accepted, waiting }, 'fewer updates than wanted');
    clearTimeout(this.#deadline);
    const round = this.#round;
    await store.save({ ...state, phase: 'closing' });
    if (round?.round === state.round) await this.#announce(round, 'closed', state.deadlineAt);
    const outbox = await this.#partial(following, state.round);
    await upstream.send(outbox);
    await store.finish();
    this.log.info({ round: state.round, edges: accepted, bytes: outbox.blob.length }, 'sent a partial aggregate');
  }

  /** sum n_k D_k / N of the region, with N as its samples; what an earlier one could not bring is in it. */
  async #partial({ artifact, aggregator }: Following, round: number): Promise<Outbox> {
    const updates = this.#store?.accepted ?? [];
    const { weights } = await aggregator.aggregate(artifact, updates);
    const delta = weights.map((w, i) => w - (artifact.weights[i] as number));
    const residual = await readIfThere(this.#residualFile);
    if (residual?.length === delta.length * 4) {
      const kept = new Float32Array(new Uint8Array(residual).buffer);
      for (let i = 0; i < delta.length; i++) delta[i] = (delta[i] as number) + (kept[i] as number);
    }
    const headers = updates.map((u) => u.header);
    const samples = headers.reduce((a, h) => a + h.samples, 0);
    const mean = (get: (h: (typeof headers)[number]) => number): number =>
      headers.reduce((a, h) => a + (h.samples / samples) * get(h), 0);
    const { fleet, name, preset } = this.config.upstream;
    const payload = codec('range').encode(delta, artifact.layout, { ...PRESETS[preset], temporal: 0 });
    const header = {
      fleet,
      edge: name,
      model: this.config.model.id,
      round,
      base: artifact.sha256,
      codec: 'range',
      layout: artifact.layout.hash,
      samples,
      steps: Math.max(1, Math.round(mean((h) => h.steps))),
      createdAt: Date.now(),
      metrics: { edges: headers.length, loss: mean((h) => h.metrics.loss ?? 0), samples },
    };
    const blob = encodeUpdate(header, payload, this.signer);
    return { id: sha256Hex(blob), round, base: artifact.sha256, blob };
  }

  async #settled(outbox: Outbox, accepted: boolean, reason: string): Promise<void> {
    const following = this.#following;
    if (accepted) this.log.info({ round: outbox.round }, 'partial aggregate accepted');
    else this.log.warn({ round: outbox.round, reason }, 'partial aggregate refused');
    if (!following) return;
    const lost = !accepted && GIVE_BACK.has(reason);
    const delta = new Float32Array(following.artifact.layout.total);
    if (lost) {
      codec('range').accumulate(decodeUpdate(outbox.blob).payload, following.artifact.layout, 1, delta);
    }
    await writeDurable(this.#residualFile, lost ? new Uint8Array(delta.buffer) : new Uint8Array());
  }

  get #residualFile(): string {
    return join(this.config.dataDir, 'upstream', 'residual');
  }

  async #message(topic: string, payload: Uint8Array): Promise<void> {
    const { inbox } = this.#following ?? {};
    try {
      const address = parseEdgeTopic(this.#topics, topic);
      if (address.kind === 'update') await inbox?.update(topic, payload);
      else if (address.kind === 'enrol') await inbox?.enrol(topic, payload);
      else if (address.kind === 'status') {
        const status = decodeMessage('status', payload);
        if (this.config.model.id in status.models) this.#members.status(status);
        this.#tell();
        await this.#advance();
      } else if (address.kind === 'metrics') {
        this.#members.report(decodeMessage('metrics', payload));
        this.#reportVersion(false);
      }
    } catch (error) {
      if (inbox) inbox.reject(topic, error);
      else throw error;
    }
  }

  #tell(): void {
    const online = this.#members.all.filter((m) => m.online);
    const samples = online.reduce((a, m) => a + m.samples, 0);
    const enough = online.length >= this.config.rounds.minEdges;
    this.#upstream?.status(enough, samples, this.#following?.manifest.version ?? 0);
  }

  /** One report of all its edges' on a version: once all have reported, or the wait is over. */
  #reportVersion(overdue: boolean): void {
    const { manifest } = this.#following ?? {};
    if (!manifest || this.#reported === manifest.version) return;
    const reports = this.#members.reportsOn(manifest.version);
    const has = new Set(reports.map((r) => r.edge));
    if (!overdue && this.#members.online.some((e) => !has.has(e))) return;
    clearTimeout(this.#settle);
    this.#reported = manifest.version;
    const values: Record<string, number> = { edges: reports.length };
    for (const name of ['valBefore', 'valAfter', 'valPrevious', 'valServing']) {
      const known = reports.flatMap((r) => (r.values[name] === undefined ? [] : [r.values[name] as number]));
      if (known.length > 0) values[name] = known.reduce((a, v) => a + v, 0) / known.length;
    }
    this.#upstream?.report('adopted', manifest.round, manifest.version, values);
  }

  #parts() {
    return { store: this.#store, following: this.#following, upstream: this.#upstream };
  }
}

/** A manifest as the publisher takes it. */
function asVersion(manifest: Manifest): Version {
  const { version, infer, train, parent, round, createdAt, metrics, difference } = manifest;
  return {
    version,
    sha256: infer.sha256,
    train: train.sha256,
    parent,
    round,
    createdAt,
    metrics,
    state: 'current',
    ...(difference && { difference: { sha256: difference.sha256, from: difference.from, codec: difference.codec } }),
  };
}
