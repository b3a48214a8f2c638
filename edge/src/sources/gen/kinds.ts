// Made by scripts/sourceKinds.mjs from the files in edge/src/sources/kinds, when the project is built. Not to be edited.
import { source as csv } from '../kinds/csv.js';
import { source as mqttJson } from '../kinds/mqttJson.js';
import { source as sparkplugB } from '../kinds/sparkplugB.js';

export const KINDS = {
  csv,
  'mqtt-json': mqttJson,
  'sparkplug-b': sparkplugB,
};
