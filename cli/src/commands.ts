import type { CommandEntry } from '@ecavg/runtime/commandLine';

/** The commands, in the order of `ecavg --help`; only the one that runs is imported. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'demo',
    description: 'run a broker, a cloud and a fleet of gateways on this machine, and watch them learn',
    usage: '[options]',
    load: async () => (await import('./demo/command.js')).demoCommand(),
  },
  {
    name: 'broker',
    description: 'run the MQTT broker',
    usage: '[options]',
    load: async () => (await import('@ecavg/broker/command')).brokerCommand(),
  },
  {
    name: 'cloud',
    description: 'run the aggregator of one or several models: rounds, averaging, fine-tuning, guard, dashboard',
    usage: '[options]',
    load: async () => (await import('@ecavg/cloud/command')).cloudCommand(),
  },
  {
    name: 'edge',
    description: 'run a gateway: train on local data, send updates, take new versions',
    usage: '[options]',
    load: async () => (await import('@ecavg/edge/command')).edgeCommand(),
  },
  {
    name: 'model',
    description: 'prepare, look at and evaluate ONNX models',
    usage: '',
    load: async () => (await import('./model.js')).modelCommand(),
  },
  {
    name: 'reproduce',
    description: "run the paper's protocol and ours beside it: edge before, server, edge after",
    usage: '[options] <case>',
    load: async () => (await import('./reproduce/command.js')).reproduceCommand(),
  },
  {
    name: 'plan',
    description: 'estimate bytes, energy and cost of a fleet a month',
    usage: '[options]',
    load: async () => (await import('./plan/command.js')).planCommand(),
  },
  {
    name: 'report',
    description: "evaluate a fleet's rounds: accuracy against bytes, each gateway's change, negative transfer, advice",
    usage: '[options]',
    load: async () => (await import('./report/command.js')).reportCommand(),
  },
  {
    name: 'doctor',
    description: 'check the installation: engines, stores, data',
    usage: '[options]',
    load: async () => (await import('./doctor.js')).doctorCommand(),
  },
];
