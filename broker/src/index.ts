export { brokerCommand } from './command.js';
export { startBroker } from './broker.js';
export { type BrokerDaemonConfig, brokerConfigSchema } from './config.js';
