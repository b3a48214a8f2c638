/** `@ecavg/models/data`: labelled samples of one shape, how a fleet shares them, and windows cut from streams of readings. */
export { matches } from '../patterns.js';
export { Random } from '../random.js';
export { type DataConfig, dataConfigSchema, gatewayShard, openData, type SharedData } from './config.js';
export { type DataSet, labelHistogram, sampleSize, type View } from './dataset.js';
export { cacheDir, loadMnist } from './mnist.js';
export { everything, joinViews, rowsData, withTargets } from './rows.js';
export { DATA_SETS, type DataSetName, isSimulatedSet, loadDataSet } from './sources.js';
export { partitionBySite, partitionDirichlet, type Split, skew, splitByGroup, standardSplit } from './split.js';
export { loadStandard, STANDARD_SETS, type StandardSet } from './standard.js';
export { loadSteel, subset } from './steel.js';
export {
  CsvError,
  CsvReader,
  classIndex,
  csvMapping,
  parseTime,
  type RowSink,
  readCsv,
  TIME_FORMATS,
} from './stream/csv.js';
export { blockOf, loadRecordings, type Recordings, recordingsSchema } from './stream/reference.js';
export { type StreamConfig, streamDigest, streamSchema, streamShape } from './stream/schema.js';
export type { StreamWindow } from './stream/window.js';
export { type ChannelQuality, Windower } from './stream/windower.js';
export { faultFrequencies, simulateVibration, type VibrationOptions } from './vibration.js';
