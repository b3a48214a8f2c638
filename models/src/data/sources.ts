import type { DataSet } from './dataset.js';
import { loadMnist } from './mnist.js';
import { simulateVibration } from './vibration.js';

/** Data sets that config names; each is the same on every node for the same seed. */
export const DATA_SETS = ['mnist', 'vibration'] as const;
export type DataSetName = (typeof DATA_SETS)[number];

/** @param sites number of gateways, for data that knows sites. */
export function loadDataSet(name: DataSetName, options: { sites: number; seed: number }): DataSet {
  return name === 'mnist'
    ? loadMnist()
    : simulateVibration({ sites: options.sites, recordingsPerSite: 60, windowsPerRecording: 5, seed: options.seed });
}
