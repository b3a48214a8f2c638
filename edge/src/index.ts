export { edgeCommand } from './command.js';
export { type EdgeConfig, edgeConfigSchema } from './config.js';
export { startEdge } from './edge.js';
