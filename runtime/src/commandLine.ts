// What describes commands needs, and no more: no settings, no logs, no MQTT. `ecavg --help` loads this much.

export { type DaemonParts, type DaemonSpec, daemonCommand, runCommand } from './command.js';
export { addCommands, type CommandEntry } from './commandEntry.js';
export { DAY_MS, duration } from './duration.js';
export { ConfigError, EXIT } from './errors.js';
