export { type DaemonParts, type DaemonSpec, daemonCommand, runCommand } from './command.js';
export { type ConfigSources, CREDENTIALS, loadConfig, printConfig, withoutCredentials } from './config.js';
export { runDaemon, type Service } from './daemon.js';
export { checkDataFolder, openDataFolder } from './dataFolder.js';
export { Downloader } from './download.js';
export { DAY_MS, duration } from './duration.js';
export { ConfigError, EXIT } from './errors.js';
export {
  EXTENSION_FORMAT,
  EXTENSION_KINDS,
  type ExtensionKind,
  type ExtensionTables,
  extensionsSchema,
  loadExtensions,
} from './extensions.js';
export { listFolder, readIfThere, readJson, readOrCreate, stampOf, writeDurable } from './files.js';
export { Flow, type FlowLimits } from './flow.js';
export { identifierSchema } from './identifiers.js';
export { createLogger, type Logger, logSchema } from './logger.js';
export { markdownTable } from './markdown.js';
export {
  type BrokerConfig,
  brokerSchema,
  type ConnectOptions,
  connectBroker,
  type MqttClient,
  readSecret,
  sendAtOnce,
} from './mqtt.js';
export {
  type FlagOption,
  type NumberOption,
  type OptionSpec,
  type OptionSpecs,
  type OptionValues,
  optionDefaults,
  optionFields,
  optionSpecsSchema,
  optionText,
  type TextOption,
} from './options.js';
export { type Outgoing, RETRY_REASONS, Sender } from './outgoing.js';
export { hashPassword, isPassword, newPassword } from './passwords.js';
export { SerialQueue } from './queue.js';
export { RecordTable } from './records.js';
export { nextSession } from './session.js';
export { SOFTWARE } from './software.js';
export { type OnDamage, StateFile } from './stateFile.js';
export { NewerFormatError, StateFormat, unchanged } from './stateFormat.js';
export { DATA_ROLES, type DataRole, fits, opaqueState, stateKinds } from './stateKinds.js';
export { Trust } from './trust.js';
