/** `@ecavg/models/zoo`: models with fresh weights, by name. */
export type { ModelSpec } from './spec.js';
export { ZOO, type ZooInfo, zooModel } from './zoo.js';
