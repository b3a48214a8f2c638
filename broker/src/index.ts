export { startBroker } from './broker.js';
export { brokerCommand } from './command.js';
export { type BrokerDaemonConfig, brokerConfigSchema } from './config.js';
