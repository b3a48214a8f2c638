import { daemonCommand } from '@ecavg/runtime';
import { edgeConfigSchema } from './config.js';
import { startEdge } from './edge.js';

export const edgeCommand = () =>
  daemonCommand({
    name: 'edge',
    description: 'run a gateway: train on local data, send updates, take new versions',
    schema: edgeConfigSchema,
    envPrefix: 'ECAVG_EDGE_',
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
    start: startEdge,
  });
