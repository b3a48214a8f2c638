import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Artifact,
  type ModelProto,
  parseModel,
  prepareArtifact,
  requireEngine,
  type View,
  zooModel,
} from '@ecavg/models';
import { decodeMessage, parseEdgeTopic, Signer, Topics } from '@ecavg/protocol';
import { ConfigError, connectBroker, type Logger, readOrCreate, type Service } from '@ecavg/runtime';
import { Aggregator } from './aggregate.js';
import { type CloudConfig, codecOptions } from './config.js';
import { EdgeKeys } from './edgeKeys.js';
import { EventLog } from './events.js';
import { startHttp } from './http/server.js';
import { Inbox } from './inbox.js';
import { Judge } from './judge.js';
import { Members } from './members.js';
import { Publisher } from './publisher.js';
import { Registry } from './registry.js';
import { edgePoint, rejectPoint, roundPoints } from './report.js';
import { RoundStore } from './roundStore.js';
import { RoundManager } from './rounds.js';
import { openTelemetry } from './telemetry/index.js';

/** Refusals that speak against the edge, and not against the network or the clock. */
const BLAMED: ReadonlySet<string> = new Set([
  'payload',
  'non-finite',
  'layout-mismatch',
  'bad-signature',
  'identity-mismatch',
]);

/** Starts the aggregator of one model of one fleet. */
export async function startCloud(config: CloudConfig, log: Logger): Promise<Service> {
  const model = config.model.id;
  const names = { fleet: config.fleet, model };
  const topics = new Topics(config.fleet);
  await requireEngine(config);
  const reference = Judge.reference(config);
  const source = { from: config.model.file ?? config.model.architecture, batch: config.model.batch };
  const registry = await Registry.open(join(config.dataDir, 'models', model), source);
  if (!registry.head) await registerInitial(config, registry, reference.guard);
  const head = registry.head;
  if (!head) throw new Error('the initial model was not registered');
  const artifact = await registry.load(head);
  const store = await RoundStore.open(join(config.dataDir, 'rounds', model));
  const judge = await Judge.create(config, artifact, reference);
  const signer = Signer.fromPem(
    await readOrCreate(join(config.dataDir, 'keys', 'cloud.pem'), () => Signer.generate().toPem()),
  );
  const telemetry = await openTelemetry(config, log);
  const members = new Members();
  const events = new EventLog();

  const client = connectBroker(config.broker, { clientId: `ecavg-${config.fleet}-cloud-${model}` }, log);
  const { data } = reference.guard;
  const task = { classes: data.classes, simulated: data.simulated };
  const publisher = new Publisher(
    client,
    signer,
    topics,
    model,
    task,
    config.publish.wholeBytes,
    config.broker.transfer,
    log,
  );
  const keys = new EdgeKeys(join(config.dataDir, 'keys'), config.enrolment.mode);
  const inbox = new Inbox(
    { model, topics, layout: artifact.layout, temporal: codecOptions(config).options.temporal === 1 },
    store,
    keys,
    client,
    {
      async accepted(header, bytes) {
        const float32 = artifact.layout.total * 4;
        members.served(header.edge, true);
        events.emit('accepted', { round: header.round, edge: header.edge, bytes, float32, metrics: header.metrics });
        rounds.advance();
      },
      rejected(edge, reason, detail) {
        if (edge && BLAMED.has(reason)) members.served(edge, false);
        events.emit('rejected', { edge: edge ?? null, reason, detail });
        telemetry.write([rejectPoint(names, edge, reason, inbox.counters.rejected[reason] ?? 1)]);
      },
    },
    log,
  );
  const rounds = new RoundManager(
    {
      config,
      registry,
      store,
      judge,
      aggregator: new Aggregator(config, join(config.dataDir, 'rounds', model), store.references),
      publisher,
      members,
      events,
      log,
      closed: (outcome) => telemetry.write(roundPoints(names, outcome, inbox.counters, artifact.layout.total)),
    },
    artifact,
  );

  const onMessage = async (topic: string, payload: Uint8Array): Promise<void> => {
    try {
      const address = parseEdgeTopic(topics, topic);
      if (address.kind === 'receipt') return;
      if (address.kind === 'enrol') return await inbox.enrol(topic, payload);
      if (address.kind === 'update') return await inbox.take(topic, payload);
      if (address.kind === 'status') {
        const member = members.status(decodeMessage('status', payload));
        if (!member) return;
        events.emit('edge', { edge: member.edge, online: member.online, samples: member.samples });
      } else {
        const report = decodeMessage('metrics', payload);
        members.report(report);
        events.emit('report', report);
        telemetry.write([edgePoint(names, report)]);
      }
      rounds.advance();
    } catch (error) {
      inbox.reject(topic, error);
    }
  };
  client.on('message', (topic, payload) => void rounds.queue.run(() => onMessage(topic, payload)));

  const connected = new Promise<void>((resolve) => client.once('connect', () => resolve()));
  // First on the queue: no message is handled before the interrupted round, if any, is taken up again.
  const begun = rounds.queue.run(async () => {
    await connected;
    const { difference: coded } = head;
    const difference = coded && (await registry.blob(coded.sha256));
    await publisher.version(head, artifact, registry.versions.at(-2), difference);
    await rounds.start();
  });
  let first = true;
  const subscribe = async (): Promise<void> => {
    if (!first) await publisher.repeat();
    first = false;
    await client.subscribeAsync(topics.cloudSubscriptions, { qos: 1 });
  };
  client.on('connect', () => {
    rounds.queue.run(subscribe).catch((error: unknown) => log.warn({ err: error }, 'could not subscribe'));
  });
  await begun;

  const http = await startHttp(config, { registry, store, members, events, inbox, telemetry, rounds }, log);
  return {
    ready: {
      fleet: config.fleet,
      model,
      version: registry.head?.version,
      dashboard: http.url,
      telemetry: telemetry.kind,
      cloudKey: signer.key,
    },
    async stop() {
      await http.stop();
      await rounds.stop();
      await client.endAsync(true);
      await telemetry.close();
      await judge.release();
    },
  };
}

/** The cloud ships the model that every edge starts from, so that their weights can be averaged. */
async function registerInitial(config: CloudConfig, registry: Registry, { data }: View): Promise<void> {
  const { architecture, file, seed, batch } = config.model;
  const model: ModelProto = file
    ? parseModel(await readFile(file))
    : zooModel(architecture, { input: data.shape, classes: data.classes.length, seed });
  const artifact: Artifact = await prepareArtifact(model, { loss: 'cross-entropy', batch, sample: data.shape });
  const { shape } = artifact.info.output;
  if (shape.length !== 2 || shape[1] !== data.classes.length) {
    throw new ConfigError(
      `model ${file ?? architecture} gives [${shape.slice(1).join(', ')}] outputs a sample; data set ${data.name} has ${data.classes.length} classes`,
    );
  }
  await registry.add(artifact, { round: 0, createdAt: Date.now(), metrics: {} });
}
