import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelOf, readCloudFile } from '@ecavg/cloud';
import { openData, type SharedData } from '@ecavg/models';
import { CodedError, codeOf, Topics } from '@ecavg/protocol';
import { EXIT } from '@ecavg/runtime';
import { formatBytes } from '../bytes.js';
import { writeReport } from '../report/command.js';
import { createDisplay, mean, summaryTable } from './display.js';
import { followEvents } from './events.js';
import { type Child, Processes } from './processes.js';
import {
  brokerYaml,
  cloudYaml,
  type DemoOptions,
  dataConfig,
  edgeName,
  edgeYaml,
  FLEET,
  scenarioTitle,
} from './scenario.js';
import { Tracker } from './tracker.js';

const ECAVG = fileURLToPath(new URL('../../bin/ecavg.js', import.meta.url));
const SENSOR = fileURLToPath(new URL('./sensor.js', import.meta.url));
/** The sensor's last answer must come this soon after the last version. */
const SENSOR_MS = 15_000;

/** What is left of a demo when it is over. */
interface Output {
  readonly report: string | undefined;
  readonly html: string | undefined;
  readonly keepOpen: boolean;
}

interface Prediction {
  readonly predicted: number;
  readonly sha256: string;
}

interface CloudState {
  readonly versions: readonly { version: number; sha256: string }[];
  readonly wire: { bytes: number };
}

/** Runs the demo and returns the exit code. */
export async function runDemo(options: DemoOptions, output: Output): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-demo-'));
  const processes = new Processes(join(folder, 'logs'));
  const display = createDisplay(process.stdout);
  const interrupted = new AbortController();
  const onSignal = (): void => interrupted.abort(new CodedError('ECAVG_STOPPED', 'interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  const broken = new Promise<never>((_, reject) => {
    processes.onUnexpectedExit = (name, code, log) =>
      reject(new CodedError('ECAVG_DEMO', `${name} ended unexpectedly (${code}):\n${log}`));
    interrupted.signal.addEventListener('abort', () => reject(interrupted.signal.reason as Error));
  });
  broken.catch(() => undefined);
  try {
    await Promise.race([broken, conduct(options, output, { folder, processes, display, signal: interrupted.signal })]);
    if (output.keepOpen) await broken;
    await processes.stop();
    rmSync(folder, { recursive: true, force: true });
    return EXIT.ok;
  } catch (error) {
    display.end();
    const stoppedByUser = interrupted.signal.aborted;
    interrupted.abort();
    await processes.stop();
    if (stoppedByUser) {
      rmSync(folder, { recursive: true, force: true });
      process.stderr.write('\nstopped; no process is left\n');
      return 130;
    }
    process.stderr.write(
      `\nThe demo failed: ${(error as Error).message} [${codeOf(error)}]\nIts logs are in ${join(folder, 'logs')}\n`,
    );
    return EXIT.failed;
  }
}

interface Stage {
  readonly folder: string;
  readonly processes: Processes;
  readonly display: ReturnType<typeof createDisplay>;
  readonly signal: AbortSignal;
}

async function conduct(options: DemoOptions, output: Output, stage: Stage): Promise<void> {
  const { folder, processes, display, signal } = stage;
  const started = performance.now();
  display.note(`${options.edges} gateways learn from ${scenarioTitle(options.scenario)}`);
  // Also converts the data once, before eight processes want it.
  const shared = openData(dataConfig(options));
  const daemon = (name: string, kind: string, yaml: string): Promise<Child> => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, yaml);
    return processes.start(name, [ECAVG, kind, '--config', file]);
  };
  const broker = await daemon('broker', 'broker', brokerYaml());
  const url = String(broker.ready.url);
  const cloud = await daemon('cloud', 'cloud', cloudYaml(options, url, folder));
  const dashboard = String(cloud.ready.dashboard);
  display.note(`broker ${url}, dashboard ${dashboard}`);

  const sensor = await startSensor(processes, url, new Topics(FLEET).onnx(options.scenario), shared);
  const tracker = new Tracker(Array.from({ length: options.edges }, (_, i) => edgeName(i)));
  const following = follow(dashboard, signal, tracker, display);
  await Promise.all(tracker.edges.map((e, i) => daemon(e.name, 'edge', edgeYaml(options, url, folder, i))));
  await following;
  display.end();

  const state = (await (await fetch(`${dashboard}/api/v1/state`)).json()) as CloudState;
  const head = state.versions.at(-1);
  if (!head) throw new CodedError('ECAVG_DEMO', 'the cloud has no version');
  const predicted = await sensor.answerFor(head.sha256);
  const server = tracker.edges.map((e) => e.received).find((v) => v !== undefined);
  const seconds = (performance.now() - started) / 1000;
  const report = {
    edges: options.edges,
    rounds: options.rounds,
    dataset: shared.data.name,
    simulated: shared.data.simulated,
    seed: options.seed,
    accuracy: {
      edgeBefore: mean(tracker.edges.map((e) => e.before)),
      server,
      edgeAfter: mean(tracker.edges.map((e) => e.serving)),
    },
    bytes: { up: state.wire.bytes, upFloat32: tracker.upFloat32, down: tracker.down },
    seconds: Math.round(seconds * 10) / 10,
    model: { name: options.scenario, version: head.version, sha256: head.sha256 },
    sensor: { predicted, actual: sensor.actual },
    rejected: tracker.rejected,
    history: tracker.rounds,
    gateways: tracker.edges.map(({ name, samples, before, serving, kept }) => ({
      name,
      samples,
      before,
      after: serving,
      kept,
    })),
  };
  const classes = shared.data.classes;
  display.note(`
Test accuracy on ${shared.split.test.length} samples that no node trained on${shared.data.simulated ? ' (simulated data)' : ''}:
${summaryTable(tracker, server)}
updates: ${formatBytes(report.bytes.up)} on the wire, ${formatBytes(report.bytes.upFloat32)} as float32 (${(report.bytes.upFloat32 / report.bytes.up).toFixed(1)}x); models: ${formatBytes(report.bytes.down)} down
sensor: loaded version ${head.version} from its topic and says "${classes[predicted]}"; it is "${classes[sensor.actual]}"
time: ${report.seconds} s`);
  if (output.report) {
    writeFileSync(resolve(output.report), `${JSON.stringify(report, null, 2)}\n`);
    display.note(`report: ${output.report}`);
  }
  if (output.html) {
    const file = await readCloudFile({ config: join(folder, 'cloud.yaml') });
    await writeReport(modelOf(file.models, {}), resolve(output.html));
    display.note(`evaluation: ${output.html}`);
  }
  display.note(
    output.keepOpen
      ? `See it in the browser, in English or Japanese: ${dashboard} (Ctrl-C stops everything)`
      : 'See it in the browser: run again with --keep-open',
  );
}

async function follow(
  dashboard: string,
  signal: AbortSignal,
  tracker: Tracker,
  display: Stage['display'],
): Promise<void> {
  for await (const event of followEvents(dashboard, signal)) {
    display.event(tracker.take(event), tracker);
    if (tracker.finished) return;
  }
  throw new CodedError('ECAVG_DEMO', 'the cloud closed its event stream');
}

/** Starts the sensor process with a test sample and collects what it says. */
async function startSensor(processes: Processes, url: string, topic: string, { data, split }: SharedData) {
  const index = split.test[split.test.length >> 1] as number;
  const x = new Float32Array(data.shape.reduce((a, d) => a * d, 1));
  data.read(index, x, 0);
  const child = await processes.start('sensor', [SENSOR, url, topic]);
  const answers = new Map<string, number>();
  child.process.on('message', (m) => {
    const { predicted, sha256 } = m as Prediction;
    answers.set(sha256, predicted);
  });
  child.process.send({ x: [...x], shape: data.shape });
  return {
    actual: data.labels[index] as number,
    async answerFor(sha256: string): Promise<number> {
      const limit = AbortSignal.timeout(SENSOR_MS);
      for (;;) {
        const answer = answers.get(sha256);
        if (answer !== undefined) return answer;
        await new Promise<void>((done, fail) => {
          child.process.once('message', () => done());
          limit.addEventListener('abort', () =>
            fail(new CodedError('ECAVG_DEMO', `the sensor has not classified with ${sha256.slice(0, 12)}`)),
          );
        });
      }
    },
  };
}
