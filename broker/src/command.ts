import { daemonCommand } from '@ecavg/runtime';
import { startBroker } from './broker.js';
import { brokerConfigSchema } from './config.js';

export const brokerCommand = () =>
  daemonCommand({
    name: 'broker',
    description: 'run the MQTT broker',
    schema: brokerConfigSchema,
    envPrefix: 'ECAVG_BROKER_',
    example: `
listen:
  host: 127.0.0.1
  port: 1883
maxPayloadBytes: 1048576`,
    start: startBroker,
  });
