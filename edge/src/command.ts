import { daemonCommand } from '@ecavg/runtime/commandLine';
import type { Command } from 'commander';
import type { EdgeConfig } from './config.js';
import { edgeSubcommands } from './install/commands.js';

const ENV_PREFIX = 'ECAVG_EDGE_';

const MORE = `
Sensors of your own in place of a data set (the same "stream" on every gateway and in the cloud):

data:
  stream:
    channels:
      - { name: vibration, unit: g, min: -20, max: 20 }
      - { name: temperature, unit: C, min: -20, max: 150, stuckSeconds: 3600 }
    rateHz: 50
    window: 64
    classes: [ok, worn]        # leave out for unlabelled data
  sources:
    - { type: csv, path: /data/in/*.csv, time: { column: time }, label: state }
    - type: mqtt-json
      topic: factory/press-2/data
      time: { path: $.at, format: ms }
      channels: { vibration: "$.values[*].v", temperature: $.temp }
      label: $.state
    - type: sparkplug-b
      group: plant
      node: line-1
      channels: { temperature: { device: press, metric: Temperature } }`;

async function settingsOf(file: string | undefined): Promise<EdgeConfig> {
  const [{ loadConfig }, { edgeConfigSchema, edgeExtensions }] = await Promise.all([
    import('@ecavg/runtime'),
    import('./config.js'),
  ]);
  const env = { prefix: ENV_PREFIX, variables: process.env };
  return loadConfig(edgeConfigSchema, { file, env, extensions: edgeExtensions });
}

export function edgeCommand(): Command {
  const command = daemonCommand({
    name: 'edge',
    description: 'run a gateway: train on local data, send updates, take new versions',
    envPrefix: ENV_PREFIX,
    example: `
fleet: plant-1
edge: press-shop-2
model: digits
dataDir: /var/lib/ecavg/edge
broker:
  url: mqtt://127.0.0.1:1883
data:
  dataset: mnist
  gateways: 8
  index: 0`,
    load: async () => {
      const { edgeConfigSchema, edgeExtensions } = await import('./config.js');
      return {
        schema: edgeConfigSchema,
        extensions: edgeExtensions,
        start: async (config, log) => (await import('./edge.js')).startEdge(config, log),
      };
    },
  });
  command.addHelpText('after', MORE);
  for (const sub of edgeSubcommands(settingsOf)) command.addCommand(sub);
  return command;
}
