import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { ECAVG, findProgram } from './harness.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DEPLOY = join(ROOT, 'deploy');
const analyze = findProgram('systemd-analyze');

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: readonly string[];
}

describe('deploy', () => {
  const text = readFileSync(join(DEPLOY, 'docker', 'Dockerfile'), 'utf8');

  test('the settings of the images are settings of their daemons', () => {
    for (const kind of ['broker', 'cloud', 'edge']) {
      const file = join(DEPLOY, 'config', `${kind}.yaml`);
      const { status, stderr } = spawnSync(process.execPath, [ECAVG, kind, '--config', file, '--print-config'], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
    }
  });

  test('the compose file names targets, files, volumes and services that are there', () => {
    const folder = join(DEPLOY, 'docker');
    const compose = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8')) as {
      services: Record<string, Service>;
      volumes: Record<string, unknown>;
    };
    const targets = new Set([...text.matchAll(/^FROM \S+ AS (\S+)$/gm)].map((m) => m[1]));
    const names = Object.keys(compose.services);
    for (const [name, { image, build, volumes = [], ports = [], depends_on = [] }] of Object.entries(
      compose.services,
    )) {
      assert.ok(image?.includes(':') || build, `${name}: an image with its version, or how to build it`);
      if (build) {
        assert.ok(existsSync(resolve(folder, build.context, build.dockerfile)));
        assert.ok(targets.has(build.target), `${name}: target ${build.target}`);
      }
      for (const volume of volumes) {
        const [source = ''] = volume.split(':');
        // Folders with a site's own recordings are made when they are first mounted.
        const own = /^\.\/(reference|gateway-\d)$/.test(source);
        if (source.startsWith('.') && !own) assert.ok(existsSync(resolve(folder, source)), `${name}: ${source}`);
        else if (!source.startsWith('.')) assert.ok(source in compose.volumes, `${name}: volume ${source}`);
      }
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, `${name} is open to the network`);
      for (const other of depends_on) assert.ok(names.includes(other), `${name} depends on ${other}`);
    }
  });

  test('what the Dockerfile copies is there, and what it starts', () => {
    const stages = text.split(/^FROM /m);
    for (const [, files = ''] of text.matchAll(/^COPY (?!--from)(.+)$/gm))
      for (const file of files.split(' ').slice(0, -1)) assert.ok(existsSync(join(ROOT, file)), file);
    const workspaces = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { workspaces: string[] })
      .workspaces;
    for (const workspace of workspaces) assert.ok(text.includes(`COPY ${workspace} ${workspace}\n`), workspace);
    for (const kind of ['broker', 'cloud', 'edge']) {
      const stage = stages.find((s) => s.startsWith(`base AS ${kind}`)) ?? '';
      const program = /ENTRYPOINT \["node", "([^"]+)"\]/.exec(stage)?.[1] ?? '';
      assert.ok(existsSync(join(ROOT, program)), program);
      // Every package of ours that it imports is copied, too.
      const { dependencies } = JSON.parse(
        readFileSync(join(ROOT, dirname(dirname(program)), 'package.json'), 'utf8'),
      ) as {
        dependencies: Record<string, string>;
      };
      for (const name of Object.keys(dependencies).filter((d) => d.startsWith('@ecavg/')))
        assert.ok(stage.includes(` ${name.slice(7)}\n`), `${kind}: ${name}`);
    }
    assert.match(text, /^USER 10001$/m);
  });

  test('the systemd units are sound, and shut in', { skip: 'skip' in analyze && analyze.skip }, () => {
    assert.ok('path' in analyze);
    const { path } = analyze;
    const run = (...args: string[]) => spawnSync(path, args, { encoding: 'utf8' });
    for (const name of readdirSync(join(DEPLOY, 'systemd'))) {
      const unit = join(DEPLOY, 'systemd', name);
      const verify = run('verify', unit);
      assert.equal(verify.status, 0, verify.stderr);
      const security = run('security', '--offline=yes', '--threshold=25', unit);
      assert.equal(security.status, 0, security.stdout.slice(-300));
    }
  });
});
