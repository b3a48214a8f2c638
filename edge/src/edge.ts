// How a reading becomes a weight, room by room:
//   reading  sources/    a value of a sensor, with its time: MQTT JSON, Sparkplug B, CSV
//   window   samples/    readings of all channels, cut at the ticks of data.stream, gaps filled or marked
//   sample   samples/    a window that is kept, to train on or to judge with
//   batch    learning/   samples that go through the training graph together
//   step     learning/   one batch changes the weights of this gateway (the trainer of @ecavg/models)
//   update   learning/   what a round's steps changed, coded small and signed by uplink/
//   outbox   uplink/     the update on disk, sent until the cloud has said what becomes of it
// From batch to outbox each is a stage in learning/pipeline.ts.
// The other way, a published version comes by uplink/, is judged by learning/ and answers sensors by inference/.
import { requireEngine } from '@ecavg/models';
import { type Logger, openDataFolder, type Service } from '@ecavg/runtime';
import type { EdgeConfig } from './config.js';
import { Gateway } from './gateway.js';
import { Governor } from './power/governor.js';
import { openLocalData } from './samples/openData.js';
import { EdgeStore } from './uplink/edgeStore.js';
import { openIdentity } from './uplink/identity.js';

/** Starts a gateway: it follows the model and round topics until it is stopped. */
export async function startEdge(config: EdgeConfig, log: Logger): Promise<Service> {
  await openDataFolder(config.dataDir, 'edge');
  await requireEngine(config.train);
  const store = new EdgeStore(config.dataDir);
  const identity = await openIdentity(config);
  const governor = new Governor(config.power, { dataDir: config.dataDir, log, threads: config.train.threads });
  governor.start();
  const data = await openLocalData(config, identity.login, governor, log);
  const gateway = new Gateway({ config, data, store, identity, governor, log });
  await gateway.start();
  return {
    healthy: () => gateway.healthy,
    ready: { edge: config.edge, samples: data.samples, simulatedData: data.simulated },
    stop: () => gateway.stop(),
  };
}
