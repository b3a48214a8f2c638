import { join } from 'node:path';
import { Signer, Topics } from '@ecavg/protocol';
import { ConfigError, connectBroker, type Logger, readOrCreate, type Service } from '@ecavg/runtime';
import type { CloudFile } from './cloudFile.js';
import type { CloudConfig } from './config.js';
import { EdgeKeys } from './fleet/edgeKeys.js';
import { FleetConnection } from './fleet/fleetConnection.js';
import { FleetModel } from './fleetModel.js';
import { Accounts } from './http/accounts.js';
import { startHttp } from './http/server.js';
import { BrokerFigures, watchHealth } from './telemetry/health.js';
import { openTelemetry } from './telemetry/index.js';
import { ControlBox, type ControlRequest, controlFolder } from './versions/controlBox.js';

/** Starts the aggregators of all models and fleets of a cloud's file. */
export async function startCloud(file: CloudFile, log: Logger): Promise<Service> {
  const signer = Signer.fromPem(
    await readOrCreate(join(file.dataDir, 'keys', 'cloud.pem'), () => Signer.generate().toPem()),
  );
  const telemetry = await openTelemetry(file, log);
  const connections: FleetConnection[] = [];
  const opened: FleetModel[] = [];
  const brokers = new Map<string, BrokerFigures>();
  for (const [fleet, configs] of byFleet(file.models)) {
    const topics = new Topics(fleet);
    const [first] = configs;
    const keys = new EdgeKeys(join(first.dataDir, 'keys'), file.enrolment.mode);
    const clientId = `ecavg-${fleet}-cloud-${first.model.id}`;
    const client = connectBroker(file.broker, { clientId }, log);
    brokers.set(fleet, new BrokerFigures(client, log));
    const models: FleetModel[] = [];
    for (const config of configs) {
      const child = file.models.length > 1 ? log.child({ fleet, model: config.model.id }) : log;
      models.push(await FleetModel.open(config, { client, topics, signer, keys, telemetry }, child));
    }
    opened.push(...models);
    connections.push(new FleetConnection({ client, topics, models: models as [FleetModel, ...FleetModel[]], log }));
  }
  const models = opened as [FleetModel, ...FleetModel[]];
  let started = false;
  const control = async (request: ControlRequest): Promise<string> => {
    const model = models.find((m) => m.config.fleet === request.fleet && m.config.model.id === request.model);
    if (!model) throw new ConfigError(`this cloud has no model ${request.fleet}/${request.model}`);
    if (!started) throw new ConfigError('the cloud is still starting: try again when it has reached the broker');
    return model.rounds.control(request);
  };
  const accounts = await Accounts.open(file.dataDir);
  if (file.http.anonymous !== 'operator') {
    const made = await accounts.first();
    if (made) log.warn(made, 'nobody could sign in yet: made a user, whose password is in this file');
  }
  const parts = { models, telemetry, accounts, control };
  // Before the broker is reached: people see what there is, and that it is not.
  const http = await startHttp(file.http, parts, log);
  for (const connection of connections) await connection.start();
  started = true;
  const endHealth = watchHealth(telemetry, file.dataDir, brokers, file.telemetry.healthSeconds);
  const endControl = await new ControlBox(controlFolder(file.dataDir)).serve(control, log);
  const [first] = models;
  return {
    ready: {
      fleet: first?.config.fleet,
      model: first?.config.model.id,
      version: first?.registry.head?.version,
      models: models.map((m) => `${m.config.fleet}/${m.config.model.id}`),
      dashboard: http.url,
      telemetry: telemetry.kind,
      cloudKey: signer.key,
    },
    async stop() {
      endHealth();
      await http.stop();
      await endControl();
      for (const connection of connections) await connection.stop();
      await telemetry.close();
    },
  };
}

function byFleet(configs: readonly CloudConfig[]): Map<string, [CloudConfig, ...CloudConfig[]]> {
  const fleets = new Map<string, [CloudConfig, ...CloudConfig[]]>();
  for (const config of configs) {
    const known = fleets.get(config.fleet);
    if (known) known.push(config);
    else fleets.set(config.fleet, [config]);
  }
  return fleets;
}
