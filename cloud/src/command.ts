import { daemonCommand } from '@ecavg/runtime';
import type { Command } from 'commander';
import { startCloud } from './cloud.js';
import { controlCommands } from './controlCommands.js';
import { edgeKeyCommands } from './edgeKeyCommands.js';
import { cloudFileSchema } from './models.js';

export function cloudCommand(): Command {
  const command = daemonCommand({
    name: 'cloud',
    description: 'run the aggregator of one or several models: rounds, averaging, fine-tuning, guard, dashboard',
    schema: cloudFileSchema,
    envPrefix: 'ECAVG_CLOUD_',
    example: `
fleet: plant-1
dataDir: /var/lib/ecavg/cloud
broker:
  url: mqtt://127.0.0.1:1883
model:
  id: digits
  architecture: mlp
rounds:
  intervalSeconds: 3600
  minEdges: 3
  quorum: 0.6
  deadlineSeconds: 300
telemetry:
  influx:            # leave out for the embedded store
    url: http://127.0.0.1:8086

Several models, of one fleet or more, in one process: what an entry of "models" does not set, it
takes from the top level.

fleet: plant-1
dataDir: /var/lib/ecavg/cloud
rounds:
  intervalSeconds: 3600
models:
  - model: { id: digits }
  - model: { id: bearings, architecture: sensor-cnn1d }
    data: { dataset: vibration, partition: by-site }
  - fleet: plant-2
    model: { id: digits }`,
    start: startCloud,
  });
  for (const sub of [...edgeKeyCommands(), ...controlCommands()]) command.addCommand(sub);
  return command;
}
