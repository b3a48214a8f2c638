import { join } from 'node:path';
import { Signer, Topics } from '@ecavg/protocol';
import { connectBroker, type Logger, openDataFolder, readOrCreate, type Service } from '@ecavg/runtime';
import type { CloudFile } from './cloudFile.js';
import type { CloudConfig } from './config.js';
import { EdgeKeys } from './fleet/edgeKeys.js';
import { FleetConnection } from './fleet/fleetConnection.js';
import { type FleetModel, openFleetModel } from './fleetModel.js';
import { Accounts } from './http/accounts.js';
import { findModel } from './http/servedModel.js';
import { startHttp } from './http/server.js';
import { controlAnswer } from './http/words.js';
import type { ControlOutcome } from './rounds/control.js';
import { BrokerFigures, watchHealth } from './telemetry/health.js';
import { openTelemetry } from './telemetry/index.js';
import type { TelemetrySink } from './telemetry/points.js';
import { ControlBox, type ControlRequest, controlFolder } from './versions/controlBox.js';

type Models = readonly [FleetModel, ...FleetModel[]];

/** One fleet's models, and how they reach its edges. */
interface Fleet {
  readonly fleet: string;
  readonly models: Models;
  readonly connection: FleetConnection;
  readonly broker: BrokerFigures;
}

/** Starts the aggregators of all models and fleets of a cloud's file. */
export async function startCloud(file: CloudFile, log: Logger): Promise<Service> {
  await openDataFolder(file.dataDir, 'cloud');
  const keyFile = join(file.dataDir, 'keys', 'cloud.pem');
  const signer = Signer.fromPem(await readOrCreate(keyFile, () => Signer.generate().toPem()), keyFile);
  const telemetry = await openTelemetry(file, log);
  const fleets: Fleet[] = [];
  for (const configs of byFleet(file.models)) fleets.push(await openFleet(file, configs, { signer, telemetry }, log));
  const models = fleets.flatMap((f) => f.models) as unknown as Models;
  const accounts = await Accounts.open(file.dataDir);
  if (file.http.anonymous !== 'operator') {
    const made = await accounts.first();
    if (made) log.warn(made, 'nobody could sign in yet: made a user, whose password is in this file');
  }
  // Before the broker is reached: people see what there is, and that it is not.
  const http = await startHttp(file.http, { models, telemetry, accounts }, log);
  for (const { connection } of fleets) await connection.start();
  const brokers = new Map(fleets.map((f) => [f.fleet, f.broker]));
  const endHealth = watchHealth(telemetry, file.dataDir, brokers, file.telemetry.healthSeconds);
  const control = async ({ fleet, model, ...asked }: ControlRequest): Promise<ControlOutcome> =>
    findModel(models, { fleet, model })?.control(asked) ?? { code: 'unknown-model', fleet, model };
  const box = new ControlBox(controlFolder(file.dataDir));
  const endControl = await box.serve((request) => controlAnswer(() => control(request)), log);
  const [first] = models;
  return {
    ready: {
      fleet: first.config.fleet,
      model: first.config.model.id,
      version: first.registry.head?.version,
      models: models.map((m) => `${m.config.fleet}/${m.config.model.id}`),
      dashboard: http.url,
      telemetry: telemetry.kind,
      cloudKey: signer.key,
    },
    async stop() {
      endHealth();
      await http.stop();
      await endControl();
      for (const { connection } of fleets) await connection.stop();
      await telemetry.close();
    },
  };
}

async function openFleet(
  file: CloudFile,
  configs: readonly [CloudConfig, ...CloudConfig[]],
  shared: { readonly signer: Signer; readonly telemetry: TelemetrySink },
  log: Logger,
): Promise<Fleet> {
  const [{ fleet, dataDir, model }] = configs;
  const topics = new Topics(fleet);
  const keys = new EdgeKeys(join(dataDir, 'keys'), file.enrolment.mode);
  const client = connectBroker(file.broker, { clientId: `ecavg-${fleet}-cloud-${model.id}` }, log);
  const broker = new BrokerFigures(client, log);
  const opened: FleetModel[] = [];
  for (const config of configs) {
    const child = file.models.length > 1 ? log.child({ fleet, model: config.model.id }) : log;
    opened.push(await openFleetModel(config, { ...shared, client, topics, keys }, child));
  }
  const models = opened as unknown as Models;
  return { fleet, models, broker, connection: new FleetConnection({ client, topics, models, log }) };
}

function byFleet(configs: readonly CloudConfig[]): (readonly [CloudConfig, ...CloudConfig[]])[] {
  const fleets = new Map<string, [CloudConfig, ...CloudConfig[]]>();
  for (const config of configs) {
    const known = fleets.get(config.fleet);
    if (known) known.push(config);
    else fleets.set(config.fleet, [config]);
  }
  return [...fleets.values()];
}
