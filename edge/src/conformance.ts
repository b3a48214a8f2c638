// Test suites that sources and transforms of extensions can be held against: `import { describeSource } from '@ecavg/edge/conformance'`.
export { describeTransform, type TransformExample } from './samples/transformConformance.js';
export { describeSource, type SourceExample, type SourcePlace } from './sources/conformance.js';
