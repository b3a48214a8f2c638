// Runs a fleet of two releases: `node scripts/mixed-fleet.mjs REV`, with this tree built. First the cloud and the broker are those of REV
// and the gateways are ours, then the other way round; a regional aggregator is of the gateways' side, the gateway below it of the cloud's.
// Two rounds each: every update has to be accepted, every version taken or judged, and nothing refused. Exit code 0 where that holds.
//   --built DIR   a built tree of the other release, in place of REV: nothing is cloned
//   --install     npm ci in the clone, in place of our node_modules (where dependencies have changed)
//   --keep        leave the folders there
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { Processes, Watcher } from '../cli/dist/index.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const ROUNDS = 2;
const LIMIT_MS = 180_000;
const MODEL = 'digits';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    built: { type: 'string' },
    install: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const [rev] = positionals;
if ((rev === undefined) === (flags.built === undefined)) {
  process.stderr.write('say one revision, or --built DIR: node scripts/mixed-fleet.mjs 0bd266e\n');
  process.exit(2);
}

const work = mkdtempSync(join(tmpdir(), 'ecavg-mixed-'));
const run = (program, args, cwd = ROOT) => execFileSync(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });

/** A built tree of the other release. */
function otherRelease() {
  if (flags.built) return resolve(flags.built);
  const folder = join(work, 'release');
  run('git', ['clone', '--quiet', '--no-checkout', ROOT, folder]);
  run('git', ['checkout', '--quiet', rev], folder);
  if (flags.install) run('npm', ['ci', '--no-audit', '--no-fund'], folder);
  else {
    // The links to packages of the workspace are relative: they lead into the clone.
    const places = ['.', ...readdirSync(ROOT)].map((p) => join(p, 'node_modules'));
    for (const place of places.filter((p) => isFolder(join(ROOT, p)) && isFolder(join(folder, p, '..'))))
      run('cp', ['-al', join(ROOT, place), join(folder, place)]);
  }
  run('npm', ['run', '--silent', 'build'], folder);
  return folder;
}

function isFolder(path) {
  try {
    return readdirSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** Two rounds of one mixture; resolves with a line for people, and throws where something is off. */
async function mixture(name, { cloud: cloudSide, edges: edgeSide }) {
  const folder = join(work, name);
  const processes = new Processes(join(folder, 'logs'));
  const programs = { cloud: join(cloudSide, 'cli/bin/ecavg.js'), edges: join(edgeSide, 'cli/bin/ecavg.js') };
  const start = (of, daemon, command, settings) => {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${daemon}.yaml`);
    writeFileSync(file, stringify(settings));
    return processes.start(daemon, [programs[of], command, '--config', file]);
  };
  let events;
  try {
    const broker = await start('cloud', 'broker', 'broker', {
      listen: { port: 0 },
      persistence: { kind: 'disk', dataDir: join(folder, 'broker') },
    });
    const link = { url: String(broker.ready.url), reconnectSeconds: 0.2 };
    const data = { dataset: 'mnist', gateways: 3, alpha: 5, seed: 1 };
    const model = { id: MODEL };
    const cloud = await start('cloud', 'cloud', 'cloud', {
      fleet: 'plant',
      dataDir: join(folder, 'cloud'),
      broker: link,
      http: { port: 0, anonymous: 'viewer' },
      model,
      data,
      rounds: { count: ROUNDS, intervalSeconds: 0, minEdges: 3, quorum: 1, settleSeconds: 20, deadlineSeconds: 120 },
    });
    const url = String(cloud.ready.dashboard);
    events = new Watcher(url);
    const edge = (of, index, fleet) =>
      start(of, `edge-${index}`, 'edge', {
        fleet,
        edge: `edge-${index}`,
        model: MODEL,
        dataDir: join(folder, `edge-${index}`),
        broker: link,
        data: { ...data, index },
        resendSeconds: 1,
      });
    await start('edges', 'north', 'cloud', {
      role: 'regional',
      fleet: 'north',
      dataDir: join(folder, 'north'),
      broker: link,
      model,
      upstream: { fleet: 'plant', name: 'north', broker: link, resendSeconds: 1 },
      rounds: { minEdges: 1 },
    });
    await Promise.all([edge('edges', 0, 'plant'), edge('edges', 1, 'plant'), edge('cloud', 2, 'north')]);
    await events.until('finished', () => true, LIMIT_MS);
    return await verdict(url, events);
  } catch (error) {
    throw new Error(`${error.message}\n${tails(join(folder, 'logs'))}`);
  } finally {
    events?.close();
    await processes.stop();
  }
}

/** What came of the rounds. */
async function verdict(url, events) {
  const members = ['edge-0', 'edge-1', 'north'];
  const state = await (await fetch(`${url}/api/v1/state`)).json();
  const problems = [];
  const closed = events.seen.filter((e) => e.type === 'round-closed').map((e) => e.data);
  for (const { round, accepted } of closed)
    if ([...accepted].sort().join() !== members.join()) problems.push(`round ${round} has the updates of ${accepted}`);
  if (closed.length !== ROUNDS) problems.push(`${closed.length} rounds closed`);
  if (Object.keys(state.wire.rejected).length > 0) problems.push(`refused: ${JSON.stringify(state.wire.rejected)}`);
  const newest = state.versions.at(-1).version;
  if (newest < 2) problems.push('no round made a version');
  // Every version is judged on each site; a region reports for its own.
  for (let version = 2; version <= newest; version++)
    for (const edge of members)
      await events
        .until(
          'report',
          (d) => d.edge === edge && d.version === version && ['adopted', 'kept'].includes(d.event),
          30_000,
        )
        .catch(() => problems.push(`${edge} did not report on version ${version}`));
  if (problems.length > 0) throw new Error(problems.join('; '));
  const software = Object.fromEntries(state.members.map((m) => [m.edge, m.software]));
  return `${closed.length} rounds with the updates of ${members.join(', ')}; version ${newest}, which all have taken or judged; ${JSON.stringify(software)}`;
}

const tails = (folder) =>
  readdirSync(folder)
    .map((name) => `== ${name}\n${readFileSync(join(folder, name), 'utf8').trim().split('\n').slice(-10).join('\n')}`)
    .join('\n');

try {
  const other = otherRelease();
  const label = rev ?? flags.built;
  for (const [name, what, sides] of [
    ['old-cloud', `cloud of ${label}, gateways of here`, { cloud: other, edges: ROOT }],
    ['old-gateways', `cloud of here, gateways of ${label}`, { cloud: ROOT, edges: other }],
  ]) {
    try {
      process.stdout.write(`${what}: ${await mixture(name, sides)}\n`);
    } catch (error) {
      process.stdout.write(`${what}: FAILED: ${error.message}\n`);
      process.exitCode = 1;
    }
  }
} finally {
  if (!flags.keep) rmSync(work, { recursive: true, force: true });
}
