import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODEL, type TestFleet } from './harness.js';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly round?: number;
  readonly id?: string;
  readonly accepted?: readonly string[];
}

/** What a daemon logged, over all its runs; the line that a kill tore is left out. */
export function logOf(fleet: TestFleet, name: string): Line[] {
  const text = readFileSync(join(fleet.folder, 'logs', `${name}.log`), 'utf8');
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
}

interface Version {
  readonly version: number;
  readonly round: number;
  readonly sha256: string;
  readonly parent: string | null;
  readonly state: 'current' | 'canary' | 'withdrawn';
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * What must hold after whatever happened to a fleet:
 * - versions in force form a chain from 1 on, and every file that is kept is what its name says;
 * - every update that an edge was told is accepted is in its round's average, once, and no edge was told twice for a round;
 * - no daemon met an error that nobody handled.
 * @returns how many rounds closed and how many updates were accepted.
 */
export function checkInvariants(fleet: TestFleet, edges: readonly string[]): { rounds: number; updates: number } {
  const folder = join(fleet.folder, 'cloud', 'models', MODEL);
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as { versions: Version[] };
  const { versions } = index;
  for (const [i, v] of versions.entries()) {
    assert.equal(v.version, i + 1);
    // One that failed its trial has no children.
    const before = versions.slice(0, i).findLast((o) => o.state === 'current');
    assert.equal(v.parent, before?.sha256 ?? null, `version ${v.version} does not follow from the one before`);
  }
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const hash = /([0-9a-f]{64})(\.onnx)?$/.exec(name)?.[1];
    if (hash)
      assert.equal(
        createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex'),
        hash,
        name,
      );
  }
  const closed = new Map<number, readonly string[]>();
  for (const line of logOf(fleet, 'cloud')) {
    if (line.msg !== 'round closed' || line.round === undefined) continue;
    assert.ok(!closed.has(line.round), `round ${line.round} was closed twice`);
    const accepted = line.accepted ?? [];
    assert.equal(new Set(accepted).size, accepted.length, `an edge stands twice in round ${line.round}`);
    closed.set(line.round, accepted);
  }
  let updates = 0;
  for (const edge of edges) {
    const told = new Map<number, Set<string>>();
    for (const line of logOf(fleet, edge)) {
      if (line.msg !== 'update accepted' || line.round === undefined || line.id === undefined) continue;
      told.set(line.round, (told.get(line.round) ?? new Set()).add(line.id));
    }
    for (const [round, ids] of told) {
      assert.equal(ids.size, 1, `${edge} was told that ${ids.size} updates of round ${round} are accepted`);
      updates++;
      const members = closed.get(round);
      if (members) assert.ok(members.includes(edge), `the update of ${edge} for round ${round} was lost`);
    }
  }
  for (const name of readdirSync(join(fleet.folder, 'logs'))) {
    const fatal = logOf(fleet, name.replace(/\.log$/, '')).filter((l) => l.level >= 60);
    assert.deepEqual(fatal, [], name);
    assert.doesNotMatch(readFileSync(join(fleet.folder, 'logs', name), 'utf8'), /UnhandledPromise|unhandled error/);
  }
  return { rounds: closed.size, updates };
}
