/** `@ecavg/models/settings`: what settings are checked with; it loads no graph, no model and no engine. */
export { type DataConfig, dataConfigSchema } from './data/config.js';
export { csvMapping, TIME_FORMATS } from './data/stream/csv.js';
export { LOSSES, type Loss } from './losses/names.js';
export { OPTIMIZERS, type OptimizerName } from './optimizers/options.js';
export { ENGINES, type EngineName, SCHEDULES, type Schedule, WIDTH_STEP } from './train/types.js';
