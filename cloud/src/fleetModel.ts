import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Artifact,
  type DataSet,
  type ModelProto,
  parseModel,
  prepareArtifact,
  requireEngine,
  streamDigest,
  type View,
  ZOO,
  zooModel,
} from '@ecavg/models';
import type { Manifest, MetricsMessage, Signer, StatusMessage, Topics } from '@ecavg/protocol';
import { ConfigError, type Logger, type MqttClient, SerialQueue } from '@ecavg/runtime';
import type { CloudConfig } from './config.js';
import type { EdgeKeys } from './fleet/edgeKeys.js';
import { EdgeRecords } from './fleet/edgeRecords.js';
import { EventLog } from './fleet/events.js';
import type { ConnectedModel } from './fleet/fleetConnection.js';
import { Members } from './fleet/members.js';
import type { ServedModel } from './http/servedModel.js';
import { admit } from './inbox/admission.js';
import { codecOptions } from './inbox/config.js';
import { RoundStore } from './inbox/roundStore.js';
import { ShareStore } from './inbox/shareStore.js';
import { type Asked, ShareInbox } from './inbox/shares.js';
import { Slices } from './inbox/slices.js';
import { Inbox, type InboxCounters } from './inbox/updates.js';
import { Aggregator } from './judging/aggregator.js';
import { Calibration } from './judging/calibration.js';
import { Calibrator } from './judging/headTuner.js';
import { Judge } from './judging/judge.js';
import { History, historyPath } from './rounds/history.js';
import { RoundManager } from './rounds/rounds.js';
import {
  edgePoint,
  qualityPoints,
  quorumPoint,
  receptionPoint,
  rejectPoint,
  roundPoints,
} from './rounds/telemetryPoints.js';
import type { TelemetrySink } from './telemetry/points.js';
import { Publisher } from './versions/publisher.js';
import { Registry } from './versions/registry.js';
import { Releases } from './versions/releases.js';

/** Refusals that speak against the edge, and not against the network or the clock. */
const BLAMED: ReadonlySet<string> = new Set([
  'payload',
  'non-finite',
  'layout-mismatch',
  'bad-signature',
  'identity-mismatch',
]);

/** What the models of a fleet, and the fleets of a cloud, have in common. */
export interface Shared {
  readonly client: MqttClient;
  readonly topics: Topics;
  readonly signer: Signer;
  readonly keys: EdgeKeys;
  readonly telemetry: TelemetrySink;
}

/** The aggregator of one model of one fleet. */
export class FleetModel implements ConnectedModel, ServedModel {
  readonly members = new Members();
  readonly queue: SerialQueue;

  private constructor(
    readonly config: CloudConfig,
    readonly registry: Registry,
    readonly store: RoundStore,
    readonly events: EventLog,
    readonly history: History,
    readonly inbox: Inbox,
    readonly shares: ShareInbox,
    readonly rounds: RoundManager,
    private readonly releases: Releases,
    private readonly publisher: Publisher,
    private readonly judge: Judge,
    private readonly calibrator: Calibrator | undefined,
    private readonly telemetry: TelemetrySink,
    members: Members,
    /** Whether the model tells classes apart. */
    readonly classes: boolean,
    private readonly client: MqttClient,
  ) {
    this.members = members;
    this.queue = rounds.queue;
  }

  static async open(config: CloudConfig, shared: Shared, log: Logger): Promise<FleetModel> {
    const { client, topics, signer, keys, telemetry } = shared;
    const model = config.model.id;
    const names = { fleet: config.fleet, model };
    await requireEngine(config);
    const reference = await Judge.reference(config, (why) => log.warn({ why }, 'reference recordings'));
    requireClasses(config, reference.guard.data);
    const source = {
      from: config.model.file ?? config.model.architecture,
      batch: config.model.batch,
      optimizer: config.model.optimizer,
    };
    const registry = await Registry.open(join(config.dataDir, 'models', model), source);
    if (!registry.head) await registerInitial(config, registry, reference.guard);
    if (!registry.head) throw new Error('the initial model was not registered');
    const artifact = await registry.load(registry.head);
    const folder = join(config.dataDir, 'rounds', model);
    const store = await RoundStore.open(folder);
    const records = await EdgeRecords.open(folder);
    const { data } = reference.guard;
    const given = new ShareStore(join(folder, 'shares'), classesOf(data));
    const judge = await Judge.create(config, artifact, reference, async () =>
      config.fineTune.samples > 0 ? given.views('samples', await given.edges('samples')) : [],
    );
    const calibrator = await Calibrator.create(config, artifact);
    const asked = askedFor(config, artifact, calibrator);
    const members = new Members();
    const events = new EventLog();
    const history = await History.open(historyPath(config.dataDir, model));
    events.listen(({ type, data }) => {
      if (type === 'deadline-extended') telemetry.write([quorumPoint(names, data)]);
    });
    const publisher = new Publisher(
      client,
      signer,
      topics,
      model,
      {
        classes: data.classes,
        simulated: data.simulated,
        ...(config.data.stream && { stream: streamDigest(config.data.stream) }),
        ...asked.manifest,
      },
      config.publish.wholeBytes,
      config.broker.transfer,
      log,
    );
    const slices = new Slices(artifact, config.strategy.combiner);
    const temporal = codecOptions(config.codec).options.temporal === 1;
    const inbox = new Inbox(
      {
        model,
        topics,
        layout: artifact.layout,
        slices,
        temporal,
        admit: (c) => admit(c, store, { ...config.rounds, staleness: (sha256) => registry.staleness(sha256) }),
      },
      store,
      keys,
      client,
      {
        async accepted(header, bytes) {
          const float32 = artifact.layout.total * 4;
          records.served(header.edge, true);
          events.emit('accepted', { round: header.round, edge: header.edge, bytes, float32, metrics: header.metrics });
          rounds.advance();
        },
        rejected(edge, reason, detail) {
          if (edge && BLAMED.has(reason)) records.served(edge, false);
          events.emit('rejected', { edge: edge ?? null, reason, detail });
          telemetry.write([rejectPoint(names, edge, reason, inbox.counters.rejected[reason] ?? 1)]);
        },
      },
      log,
    );
    const aggregator = new Aggregator(config, folder, store.references, slices);
    const parts = { config, registry, judge, aggregator, publisher, members, events, log };
    const releases = await Releases.open(
      {
        ...parts,
        received(version, outcome, reception) {
          telemetry.write([receptionPoint(names, version, outcome, reception)]);
          const { hurt, edges } = reception;
          const record = { at: Date.now(), version, outcome, hurt: [...hurt], edges: [...edges] };
          history.received(record).catch((error: unknown) => log.error({ err: error }, 'the history is not written'));
        },
      },
      () => rounds.advance(),
    );
    const rounds: RoundManager = new RoundManager(
      {
        ...parts,
        store,
        records,
        history,
        releases,
        calibration: calibrator && new Calibration({ ...parts, releases, calibrator, given }),
        closed: (outcome) => telemetry.write(roundPoints(names, outcome, inbox.counters, artifact.layout.total)),
      },
      new SerialQueue(),
    );
    const shares = new ShareInbox(
      {
        fleet: config.fleet,
        model,
        classes: classesOf(data).length,
        asked: asked.rows,
        isCurrent: (sha256) => [registry.head, registry.canary].some((v) => v?.sha256 === sha256),
      },
      given,
      keys,
      inbox,
      log,
      (edge) => {
        events.emit('shared', { edge });
        rounds.advance();
      },
    );
    return new FleetModel(
      config,
      registry,
      store,
      events,
      history,
      inbox,
      shares,
      rounds,
      releases,
      publisher,
      judge,
      calibrator,
      telemetry,
      members,
      data.classes.length > 0,
      client,
    );
  }

  get id(): string {
    return this.config.model.id;
  }

  get finished(): boolean {
    return this.rounds.finished;
  }

  get counters(): InboxCounters {
    return this.inbox.counters;
  }

  /** Whether the broker is reached: without it nothing is known of the gateways but what was. */
  get connected(): boolean {
    return this.client.connected;
  }

  /** Publishes the version in force and takes up the interrupted round, if any; the broker must be connected. */
  async start(): Promise<void> {
    await this.releases.start();
    await this.rounds.start();
  }

  /** Says everything again: a broker that restarted may have lost what it retained. */
  repeat(): Promise<void> {
    return this.publisher.repeat();
  }

  link(connected: boolean): void {
    this.events.emit('link', { connected });
  }

  enrol(topic: string, payload: Uint8Array): Promise<void> {
    return this.inbox.enrol(topic, payload);
  }

  update(topic: string, payload: Uint8Array): Promise<void> {
    return this.inbox.take(topic, payload);
  }

  share(topic: string, payload: Uint8Array): Promise<void> {
    return this.shares.take(topic, payload);
  }

  reject(topic: string, error: unknown): void {
    this.inbox.reject(topic, error);
  }

  /** The edge follows this model, or followed it. */
  status(message: StatusMessage): void {
    if (!(this.config.model.id in message.models)) return;
    const member = this.members.status(message);
    if (!member) return;
    this.events.emit('edge', { edge: member.edge, online: member.online, samples: member.samples });
    this.rounds.advance();
  }

  report(report: MetricsMessage): void {
    this.members.report(report);
    this.events.emit('report', report);
    const names = { fleet: this.config.fleet, model: this.config.model.id };
    this.telemetry.write([edgePoint(names, report), ...qualityPoints(names, report)]);
    if (report.event === 'drift') this.rounds.drifted(report.edge);
    else this.rounds.advance();
  }

  async stop(): Promise<void> {
    await this.rounds.stop();
    await this.judge.release();
    await this.calibrator?.release();
  }
}

/** Unlabelled samples count as one class. */
const classesOf = ({ classes }: DataSet): readonly string[] => (classes.length > 0 ? classes : ['unlabelled']);

/** Distillation and shared activations teach classes. */
function requireClasses({ fineTune }: CloudConfig, { classes }: DataSet): void {
  const { distill, features } = fineTune;
  if (classes.length === 0 && (distill.weight > 0 || features.samples > 0))
    throw new ConfigError('fineTune.distill and fineTune.features need data with classes; this has none');
}

/** What sites that opt in are asked for, as it is published and as it is checked. */
function askedFor(
  config: CloudConfig,
  artifact: Artifact,
  calibrator: Calibrator | undefined,
): { rows: Asked[]; manifest: { share?: NonNullable<Manifest['share']> } } {
  const { samples, features } = config.fineTune;
  const rows: Asked[] = [];
  if (samples > 0) rows.push({ kind: 'samples', shape: artifact.info.input.shape.slice(1), count: samples });
  if (calibrator) {
    const { layer, shape } = calibrator;
    rows.push({ kind: 'features', shape, count: features.samples, layer });
  }
  if (rows.length === 0) return { rows, manifest: {} };
  const share = {
    ...(samples > 0 && { samples }),
    ...(calibrator && { features: { layer: calibrator.layer, samples: features.samples } }),
  };
  return { rows, manifest: { share } };
}

/** The cloud ships the model that every edge starts from, so that their weights can be averaged. */
async function registerInitial(config: CloudConfig, registry: Registry, { data }: View): Promise<void> {
  const { architecture, file, seed, batch, optimizer } = config.model;
  const model: ModelProto = file
    ? parseModel(await readFile(file))
    : zooModel(architecture, { input: data.shape, classes: data.classes.length, seed });
  const loss = data.classes.length > 0 ? 'cross-entropy' : 'mse';
  if (!file && (loss === 'mse') !== (ZOO[architecture]?.loss === 'mse'))
    throw new ConfigError(
      loss === 'mse'
        ? `model ${architecture} tells classes apart, and the data has none: take sensor-autoencoder`
        : `model ${architecture} rebuilds its input and tells no classes apart: take another, or leave data.stream.classes out`,
    );
  const artifact: Artifact = await prepareArtifact(model, {
    loss,
    batch,
    sample: data.shape,
    optimizer: { type: optimizer },
  });
  const { shape } = artifact.info.output;
  if (loss === 'cross-entropy' && (shape.length !== 2 || shape[1] !== data.classes.length)) {
    throw new ConfigError(
      `model ${file ?? architecture} gives [${shape.slice(1).join(', ')}] outputs a sample; data set ${data.name} has ${data.classes.length} classes`,
    );
  }
  if (loss === 'mse' && shape.join() !== artifact.info.input.shape.join()) {
    throw new ConfigError(
      `model ${file ?? architecture} gives [${shape.slice(1).join(', ')}]; without classes it must rebuild its input, [${data.shape.join(', ')}]`,
    );
  }
  await registry.add(artifact, { round: 0, createdAt: Date.now(), metrics: {} });
}
