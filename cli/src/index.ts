export { followEvents } from './demo/events.js';
export { type Child, Processes } from './demo/processes.js';
export { Watcher } from './demo/watcher.js';
