import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedTelemetry } from '@ecavg/cloud';
import { cacheDir, loadMnist, OrtTrainer, prepareArtifact, zooModel } from '@ecavg/models';
import { CodedError } from '@ecavg/protocol/errors';
import { createLogger, EXIT } from '@ecavg/runtime';
import { Command } from 'commander';
import pc from 'picocolors';

interface Check {
  readonly name: string;
  /** A failed check that is needed makes the command fail. */
  readonly needed: boolean;
  run(): Promise<string>;
}

const run = promisify(execFile);

/** Loads tfjs-node in a process of its own: a broken native library must not take ours down. */
const TFJS = `
import('@tensorflow/tfjs-node').then(async ({ default: tf }) => {
  const y = await tf.matMul(tf.ones([2, 2]), tf.ones([2, 2])).data();
  if (y[0] !== 2) throw new CodedError('ECAVG_DOCTOR', 'wrong result');
  process.stdout.write(tf.version['tfjs-node'] ?? tf.version.tfjs ?? 'unknown version');
}).catch((error) => { process.stderr.write(String(error.message)); process.exit(1); });`;

function checks(influxUrl: string | undefined): Check[] {
  return [
    {
      name: 'Node.js',
      needed: true,
      async run() {
        const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
        if (major < 20 || (major === 20 && minor < 15))
          throw new CodedError('ECAVG_DOCTOR', `${process.versions.node}; 20.15 or newer is needed`);
        return `${process.versions.node} on ${process.platform}-${process.arch}`;
      },
    },
    {
      name: 'engine ort',
      needed: true,
      async run() {
        const artifact = await prepareArtifact(zooModel('mlp', { input: [4], classes: 2, seed: 1 }), {
          loss: 'cross-entropy',
          batch: 2,
          sample: [4],
        });
        const trainer = await OrtTrainer.create(artifact.train);
        trainer.setWeights(artifact.weights);
        const { loss } = await trainer.step(
          new Float32Array(8).fill(1),
          Int32Array.of(0, 1),
          Float32Array.of(1, 1),
          0.1,
          0.9,
        );
        await trainer.release();
        if (!Number.isFinite(loss)) throw new CodedError('ECAVG_DOCTOR', `a training step gave the loss ${loss}`);
        const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
        return `onnxruntime-node ${version}: a training step ran`;
      },
    },
    {
      name: 'engine tfjs-node',
      needed: false,
      async run() {
        try {
          const { stdout } = await run(process.execPath, ['--input-type=module', '-e', TFJS], {
            cwd: import.meta.dirname,
            timeout: 60_000,
          });
          return `@tensorflow/tfjs-node ${stdout}: works`;
        } catch (error) {
          const said = (error as { stderr?: string }).stderr ?? '';
          if (said.includes('Cannot find package'))
            throw new CodedError('ECAVG_DOCTOR', 'not installed (optional): npm install @tensorflow/tfjs-node');
          throw new CodedError(
            'ECAVG_DOCTOR',
            'installed, but its libtensorflow is not there (optional): npm rebuild @tensorflow/tfjs-node --ignore-scripts=false',
          );
        }
      },
    },
    {
      name: 'store embedded',
      needed: true,
      async run() {
        const folder = mkdtempSync(join(tmpdir(), 'ecavg-doctor-'));
        try {
          const store = await EmbeddedTelemetry.open(
            folder,
            createLogger('doctor', { level: 'silent', format: 'json' }),
          );
          store.write([{ measurement: 'ecavg_round', tags: {}, fields: { round: 1 }, at: Date.now() }]);
          const points = await store.query('ecavg_round', 1);
          await store.close();
          if (points.length !== 1) throw new CodedError('ECAVG_DOCTOR', 'a point that was written is not there');
          return 'LevelDB: a point was written and read';
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    },
    {
      name: 'store influxdb',
      needed: influxUrl !== undefined,
      async run() {
        if (!influxUrl) throw new CodedError('ECAVG_DOCTOR', 'not asked for; name one with --influx http://HOST:8086');
        const response = await fetch(new URL('/ping', influxUrl), { signal: AbortSignal.timeout(5000) });
        if (!response.ok) throw new CodedError('ECAVG_DOCTOR', `${influxUrl}/ping answered ${response.status}`);
        return `${influxUrl}: version ${response.headers.get('x-influxdb-version') ?? 'unknown'}`;
      },
    },
    {
      name: 'data set mnist',
      needed: false,
      async run() {
        return `${loadMnist().length} digits, converted in ${cacheDir()}`;
      },
    },
  ];
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check the installation: engines, stores, data')
    .option('--influx <url>', 'also check this InfluxDB')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  ecavg doctor\n  ecavg doctor --influx http://127.0.0.1:8086 --json\n\nExit codes: 0 all that is needed works, 1 something needed does not.',
    )
    .action(async ({ influx, json }: { influx?: string; json?: boolean }) => {
      const results: { name: string; ok: boolean; needed: boolean; detail: string }[] = [];
      for (const { name, needed, run: check } of checks(influx)) {
        const result = await check().then(
          (detail) => ({ name, ok: true, needed, detail }),
          (error: unknown) => ({ name, ok: false, needed, detail: (error as Error).message }),
        );
        results.push(result);
        const mark = result.ok ? pc.green('ok  ') : needed ? pc.red('FAIL') : pc.dim('-   ');
        if (!json) process.stdout.write(`${mark} ${name.padEnd(18)} ${result.detail}\n`);
      }
      if (json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
      process.exitCode = results.some((r) => r.needed && !r.ok) ? EXIT.failed : EXIT.ok;
    });
}
