import { daemonCommand } from '@ecavg/runtime/commandLine';
import type { Command } from 'commander';
import { brokerSubcommands } from './userCommands.js';

export function brokerCommand(): Command {
  const command = daemonCommand({
    name: 'broker',
    description: 'run the MQTT broker',
    envPrefix: 'ECAVG_BROKER_',
    example: `
listen:                     # plain MQTT; on the loopback it needs no users
  host: 127.0.0.1
  port: 1883

tls:                        # what "ecavg broker init" writes
  host: 0.0.0.0
  port: 8883
certificates:
  certFile: /etc/ecavg/broker/server.crt
  keyFile: /etc/ecavg/broker/server.key
usersFile: /etc/ecavg/broker/users.json
persistence:
  kind: disk
  dataDir: /var/lib/ecavg/broker`,
    load: async () => ({
      schema: (await import('./config.js')).brokerConfigSchema,
      start: async (config, log) => (await import('./broker.js')).startBroker(config, log),
    }),
  });
  for (const sub of brokerSubcommands()) command.addCommand(sub);
  return command;
}
