import { daemonCommand } from '@ecavg/runtime/commandLine';
import { type Command, Option } from 'commander';
import { accountCommands } from './commands/accounts.js';
import { controlCommands } from './commands/control.js';
import { edgeKeyCommands } from './commands/edgeKeys.js';
import type { ReadSettings } from './commands/subcommand.js';

const MORE = `
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
    model: { id: digits }

A regional aggregator, to which a shard of the edges belongs:

role: regional
fleet: plant-1-north         # of its edges
dataDir: /var/lib/ecavg/north
broker: { url: mqtt://north:1883 }
model: { id: digits }
upstream:                    # the cloud; here this aggregator is an edge
  fleet: plant-1
  name: north
  broker: { url: mqtt://cloud:1883 }`;

const readSettings: ReadSettings = async (flags) => (await import('./cloudFile.js')).readCloudFile(flags);

export function cloudCommand(): Command {
  const command = daemonCommand({
    name: 'cloud',
    description: 'run the aggregator of one or several models: rounds, averaging, fine-tuning, guard, dashboard',
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
    load: async () => {
      const { CLOUD_TABLES, cloudFileSchema } = await import('./cloudFile.js');
      return {
        schema: cloudFileSchema,
        extensions: CLOUD_TABLES,
        start: async (config, log) =>
          config.role === 'regional'
            ? (await import('./regional/regional.js')).startRegional(config, log)
            : (await import('./cloud.js')).startCloud(config, log),
      };
    },
  });
  command.addHelpText('after', MORE);
  command.addOption(
    new Option('--role <role>', 'regional: sum up the updates of a shard of the edges for a cloud').choices([
      'central',
      'regional',
    ]),
  );
  // What stands after a subcommand's name is its own: `user add --role` is another role.
  command.enablePositionalOptions();
  command.hook('preAction', (self) => {
    const { role } = self.opts<{ role?: string }>();
    if (role !== undefined) process.env.ECAVG_CLOUD_ROLE = role;
  });
  for (const commands of [edgeKeyCommands, controlCommands, accountCommands])
    for (const sub of commands(readSettings)) command.addCommand(sub);
  return command;
}
