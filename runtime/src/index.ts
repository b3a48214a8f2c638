export { markdownTable } from '@ecavg/protocol/markdown';
export { bytesSchema, floatsSchema, toBytes, toFloats } from './bytes.js';
export { type DaemonParts, type DaemonSpec, daemonCommand, runCommand } from './command.js';
export { type ConfigSources, CREDENTIALS, loadConfig, printConfig, withoutCredentials } from './config.js';
export { runDaemon, type Service } from './daemon.js';
export { checkDataFolder, openDataFolder } from './dataFolder.js';
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
export { listFolder, readIfThere, readOrCreate, writeDurable } from './files.js';
export { Flow, type FlowLimits } from './flow.js';
export { BlobStore } from './follower/blobStore.js';
export { Downloader } from './follower/download.js';
export { enrolRequest } from './follower/enrolment.js';
export { Follower, type FollowerHandlers, type FollowerParts } from './follower/follower.js';
export { type Identity, type Login, type Names, openIdentity } from './follower/identity.js';
export type { Following, InHand, ModelReader, VersionFiles } from './follower/model.js';
export type { OutboxEntry, OutboxStore, Outcome } from './follower/outbox.js';
export { OutboxFile, outboxSchema } from './follower/outboxFile.js';
export { type Outgoing, Sender } from './follower/sender.js';
export { Steps } from './follower/steps.js';
export { Trust } from './follower/trust.js';
export type { Taken } from './follower/versions.js';
export { identifierSchema } from './identifiers.js';
export { createLogger, type Logger, logSchema } from './logger.js';
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
  mergedOptions,
  type NumberOption,
  type OptionSpec,
  type OptionSpecs,
  type OptionValues,
  optionDefaults,
  optionFields,
  optionSpecsSchema,
  optionsSchema,
  optionText,
  ownOptions,
  type TextOption,
} from './options.js';
export { hashPassword, isPassword, newPassword } from './passwords.js';
export { SerialQueue } from './queue.js';
export { functionSchema, RecordTable } from './records.js';
export { nextSession } from './session.js';
export { SOFTWARE } from './software.js';
export { type OnDamage, StateFile } from './stateFile.js';
export { NewerFormatError, StateFormat, unchanged } from './stateFormat.js';
export { DATA_ROLES, type DataRole, fits, opaqueState, type StateKind, stateKinds } from './stateKinds.js';
export { WatchedFile } from './watchedFile.js';
