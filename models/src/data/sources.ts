import type { DataSet } from './dataset.js';
import { loadMnist } from './mnist.js';
import { simulateVibration } from './vibration.js';

/** Data sets that settings name; each is the same on every node for the same seed. */
export const DATA_SETS = ['mnist', 'vibration'] as const;
/** Name of a data set, as in settings. */
export type DataSetName = (typeof DATA_SETS)[number];

interface Source {
  /** True where the samples come from a model of the physics and not from a machine. */
  readonly simulated: boolean;
  load(options: { sites: number; seed: number }): DataSet;
}

const SOURCES: Readonly<Record<DataSetName, Source>> = {
  mnist: { simulated: false, load: () => loadMnist() },
  vibration: {
    simulated: true,
    load: (options) => simulateVibration({ ...options, recordingsPerSite: 60, windowsPerRecording: 5 }),
  },
};

/**
 * A data set by its name.
 * @param sites number of gateways, for data that knows sites.
 * @throws Error where the package that holds the data is not installed.
 */
export const loadDataSet = (name: DataSetName, options: { sites: number; seed: number }): DataSet =>
  SOURCES[name].load(options);

/** Whether a data set's samples come from a model of the physics: said wherever a figure is shown. */
export const isSimulatedSet = (name: DataSetName): boolean => SOURCES[name].simulated;
