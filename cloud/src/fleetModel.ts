import { join } from 'node:path';
import { type Artifact, type DataSet, requireEngine, streamDigest } from '@ecavg/models';
import type { MetricsMessage, Signer, StatusMessage, Topics } from '@ecavg/protocol';
import { type Logger, type MqttClient, SerialQueue } from '@ecavg/runtime';
import type { CloudConfig } from './config.js';
import type { EdgeKeys } from './fleet/edgeKeys.js';
import { EdgeRecords } from './fleet/edgeRecords.js';
import { type CloudEvent, EventLog } from './fleet/events.js';
import type { ConnectedModel } from './fleet/fleetConnection.js';
import { Members } from './fleet/members.js';
import type { ServedModel } from './http/servedModel.js';
import { admit } from './inbox/admission.js';
import { codecOptions } from './inbox/config.js';
import { Inbox } from './inbox/inbox.js';
import { type InboxCounters, Receipts } from './inbox/receipts.js';
import { RoundStore } from './inbox/roundStore.js';
import { ShareStore } from './inbox/shareStore.js';
import { sharedClasses } from './judging/asked.js';
import { type Judging, openJudging } from './judging/judging.js';
import { openReferenceSamples } from './judging/referenceSamples.js';
import { announcement } from './rounds/announcement.js';
import type { ControlOutcome, VersionControl } from './rounds/control.js';
import { History, historyPath } from './rounds/history.js';
import { openRounds } from './rounds/openRounds.js';
import { Reporter } from './rounds/reporter.js';
import type { RoundManager } from './rounds/rounds.js';
import type { TelemetrySink } from './telemetry/points.js';
import type { Control } from './versions/controlBox.js';
import { openRegistry } from './versions/initial.js';
import { Publisher } from './versions/publisher.js';
import type { Registry } from './versions/registry.js';
import { Releases } from './versions/releases.js';

/** What the models of a fleet, and the fleets of a cloud, have in common. */
export interface Shared {
  readonly client: MqttClient;
  readonly topics: Topics;
  readonly signer: Signer;
  readonly keys: EdgeKeys;
  readonly telemetry: TelemetrySink;
}

export interface FleetModelParts {
  readonly config: CloudConfig;
  readonly client: MqttClient;
  /** Where all of this runs, one step after another. */
  readonly queue: SerialQueue;
  /** Whether the model tells classes apart. */
  readonly classes: boolean;
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly members: Members;
  readonly history: History;
  readonly events: EventLog;
  readonly reporter: Reporter;
  readonly inbox: Inbox;
  readonly publisher: Publisher;
  readonly releases: Releases;
  readonly rounds: RoundManager;
  readonly control: VersionControl;
  readonly judging: Judging;
}

/** After these the next step of a round may be due. */
const WAKING: ReadonlySet<CloudEvent['type']> = new Set<CloudEvent['type']>(['accepted', 'shared']);

/** The aggregator of one model of one fleet. */
export class FleetModel implements ConnectedModel, ServedModel {
  readonly config: CloudConfig;
  readonly id: string;
  readonly queue: SerialQueue;
  readonly classes: boolean;
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly members: Members;
  readonly history: History;
  readonly events: EventLog;
  #started = false;

  constructor(private readonly parts: FleetModelParts) {
    const { config, queue, classes, registry, store, members, history, events, rounds } = parts;
    this.config = config;
    this.id = config.model.id;
    this.queue = queue;
    this.classes = classes;
    this.registry = registry;
    this.store = store;
    this.members = members;
    this.history = history;
    this.events = events;
    events.listen(({ type }) => {
      if (WAKING.has(type)) rounds.advance();
    });
  }

  get finished(): boolean {
    return this.parts.rounds.finished;
  }

  get counters(): InboxCounters {
    return this.parts.inbox.counters;
  }

  /** Whether the broker is reached: without it nothing is known of the gateways but what was. */
  get connected(): boolean {
    return this.parts.client.connected;
  }

  async start(): Promise<void> {
    await this.parts.releases.start();
    await this.parts.rounds.start();
    this.#started = true;
  }

  repeat(): Promise<void> {
    return this.parts.publisher.repeat();
  }

  link(connected: boolean): void {
    this.events.emit('link', { connected });
  }

  enrol(topic: string, payload: Uint8Array): Promise<void> {
    return this.parts.inbox.enrol(topic, payload);
  }

  update(topic: string, payload: Uint8Array): Promise<void> {
    return this.parts.inbox.update(topic, payload);
  }

  share(topic: string, payload: Uint8Array): Promise<void> {
    return this.parts.inbox.share(topic, payload);
  }

  reject(topic: string, error: unknown): void {
    this.parts.inbox.reject(topic, error);
  }

  /** The edge follows this model, or followed it. */
  status(message: StatusMessage): void {
    if (!(this.id in message.models)) return;
    const member = this.members.status(message);
    if (!member) return;
    this.events.emit('edge', { edge: member.edge, online: member.online, samples: member.samples });
    this.parts.rounds.advance();
  }

  report(report: MetricsMessage): void {
    const { reporter, rounds } = this.parts;
    this.members.report(report);
    this.events.emit('report', report);
    reporter.edge(report);
    if (report.event === 'drift') rounds.drifted(report.edge);
    else rounds.advance();
  }

  /** Rolls back, pins or lets go. */
  async control(asked: Control): Promise<ControlOutcome> {
    return this.#started ? this.parts.control.carryOut(asked) : { code: 'still-starting' };
  }

  async stop(): Promise<void> {
    await this.parts.rounds.stop();
    await this.parts.judging.release();
  }
}

/** Composes the aggregator of one model from what its rooms offer; nothing is published before it starts. */
export async function openFleetModel(config: CloudConfig, shared: Shared, log: Logger): Promise<FleetModel> {
  const { client, topics, signer, telemetry } = shared;
  const model = config.model.id;
  await requireEngine(config);
  const samples = await openReferenceSamples(config, (why) => log.warn({ why }, 'reference recordings'));
  const { data } = samples.guard;
  const { registry, head } = await openRegistry(join(config.dataDir, 'models', model), config.model, data);
  const artifact = await registry.load(head);
  const disk = await openDisk(config, data);
  const judging = await openJudging({ config, artifact, samples, ...disk });
  const { asked, reference, aggregator } = judging;
  const queue = new SerialQueue();
  const events = new EventLog();
  const members = new Members();
  const reporter = new Reporter({ names: { fleet: config.fleet, model }, telemetry, history: disk.history, log });
  events.listen(({ type, data: figures }) => {
    if (type === 'deadline-extended') reporter.withoutQuorum(figures);
  });
  const inbox = openInbox({ config, shared, artifact, data, registry, events, reporter, log, judging, ...disk });
  const publisher = new Publisher({
    client,
    signer,
    topics,
    model,
    task: {
      classes: data.classes,
      simulated: data.simulated,
      ...(config.data.stream && { stream: streamDigest(config.data.stream) }),
      ...(asked.published && { share: asked.published }),
    },
    wholeBytes: config.publish.wholeBytes,
    transfer: config.broker.transfer,
    log,
  });
  const common = { ...disk, config, registry, members, events, log, queue };
  const releases = await Releases.open({
    ...common,
    reference,
    aggregator,
    publisher,
    received: (version, outcome, reception) => reporter.received(version, outcome, reception),
  });
  const { rounds, control } = openRounds({
    ...common,
    judging,
    releases,
    announce: (state) => publisher.round(announcement(state, config)),
    closed: (outcome) => reporter.roundClosed(outcome, inbox.counters, artifact.layout.total),
  });
  return new FleetModel({
    ...common,
    client,
    classes: data.classes.length > 0,
    judging,
    reporter,
    inbox,
    publisher,
    releases,
    rounds,
    control,
  });
}

/** What a model keeps of its rounds, beside the versions. */
async function openDisk(config: CloudConfig, data: DataSet) {
  const model = config.model.id;
  const folder = join(config.dataDir, 'rounds', model);
  return {
    folder,
    store: await RoundStore.open(folder),
    records: await EdgeRecords.open(folder),
    history: await History.open(historyPath(config.dataDir, model)),
    /** What sites gave by opt-in. */
    given: new ShareStore(join(folder, 'shares'), sharedClasses(data)),
  };
}

interface InboxNeeds extends Awaited<ReturnType<typeof openDisk>> {
  readonly config: CloudConfig;
  readonly shared: Shared;
  readonly judging: Judging;
  readonly artifact: Artifact;
  readonly data: DataSet;
  readonly registry: Registry;
  readonly events: EventLog;
  readonly reporter: Reporter;
  readonly log: Logger;
}

/** What edges send: it is stored and counted, and events tell of it. */
function openInbox(needs: InboxNeeds): Inbox {
  const { config, shared, artifact, data, registry, events, reporter, log } = needs;
  const { store, records, given } = needs;
  const { slices, asked } = needs.judging;
  const { layout } = artifact;
  const staleness = (sha256: string): number | undefined => registry.staleness(sha256);
  return new Inbox({
    keys: shared.keys,
    log,
    receipts: new Receipts({
      topics: shared.topics,
      client: shared.client,
      log,
      refused(refusal) {
        const { edge, reason, detail } = refusal;
        if (edge) records.refused(edge, reason);
        events.emit('rejected', { edge: edge ?? null, reason, detail });
        reporter.refused(refusal);
      },
    }),
    updates: {
      model: config.model.id,
      layout,
      slices,
      store,
      temporal: codecOptions(config.codec).options.temporal === 1,
      admit: (chunk) => admit(chunk, store, { ...config.rounds, staleness }),
      accepted({ edge, round, metrics }, bytes) {
        records.served(edge, true);
        events.emit('accepted', { round, edge, bytes, float32: layout.total * 4, metrics });
      },
    },
    shares: {
      classes: sharedClasses(data).length,
      asked: asked.rows,
      store: given,
      isCurrent: (sha256) => [registry.head, registry.canary].some((v) => v?.sha256 === sha256),
      taken: (edge) => events.emit('shared', { edge }),
    },
  });
}
