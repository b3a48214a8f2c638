/** `@ecavg/models`: everything that its parts `/autodiff`, `/train`, `/data` and `/zoo` export. */
export * from './autodiff/index.js';
export * from './data/index.js';
export * from './train/index.js';
export * from './zoo/index.js';
