import { daemonCommand } from '@ecavg/runtime';
import type { Command } from 'commander';
import { startCloud } from './cloud.js';
import { cloudConfigSchema } from './config.js';
import { edgeKeyCommands } from './edgeKeyCommands.js';

export function cloudCommand(): Command {
  const command = daemonCommand({
    name: 'cloud',
    description: 'run the aggregator of one model: rounds, averaging, fine-tuning, guard, dashboard',
    schema: cloudConfigSchema,
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
    url: http://127.0.0.1:8086`,
    start: startCloud,
  });
  for (const sub of edgeKeyCommands()) command.addCommand(sub);
  return command;
}
