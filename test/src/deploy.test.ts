import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
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

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

interface StatefulSet extends Manifest {
  readonly spec: {
    readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[];
    readonly template: {
      readonly metadata: { readonly labels: { readonly app: string } };
      readonly spec: {
        readonly securityContext: { readonly runAsNonRoot: boolean };
        readonly volumes: readonly {
          readonly name: string;
          readonly configMap?: { readonly name: string };
          readonly persistentVolumeClaim?: { readonly claimName: string };
        }[];
        readonly containers: readonly {
          readonly image: string;
          readonly ports: readonly { readonly name: string }[];
          readonly securityContext: { readonly readOnlyRootFilesystem: boolean };
          readonly volumeMounts: readonly { readonly name: string }[];
        }[];
      };
    };
  };
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

  test('the k8s manifests: every file, volume, port and label that is named is there; nothing runs as root', () => {
    const kustomization = parse(readFileSync(join(DEPLOY, 'kustomization.yaml'), 'utf8')) as {
      resources: string[];
      configMapGenerator: { name: string; files: string[] }[];
      images: { name: string }[];
    };
    const maps = new Set(kustomization.configMapGenerator.map((m) => m.name));
    for (const { files } of kustomization.configMapGenerator)
      for (const file of files) assert.ok(existsSync(join(DEPLOY, file)), file);
    const images = new Set(kustomization.images.map((i) => i.name));
    const all = kustomization.resources.flatMap((file) =>
      parseAllDocuments(readFileSync(join(DEPLOY, file), 'utf8')).map((d) => {
        assert.deepEqual(d.errors, [], file);
        return d.toJS() as Manifest;
      }),
    );
    const claims = new Set(all.filter((m) => m.kind === 'PersistentVolumeClaim').map((m) => m.metadata.name));
    const sets = all.filter((m): m is StatefulSet => m.kind === 'StatefulSet');
    assert.deepEqual(
      sets.map((s) => s.metadata.name),
      ['broker', 'cloud'],
    );
    for (const { metadata, spec } of sets) {
      const { template, volumeClaimTemplates } = spec;
      const pod = template.spec;
      assert.equal(pod.securityContext.runAsNonRoot, true);
      const volumes = new Set([...pod.volumes, ...volumeClaimTemplates.map((v) => v.metadata)].map((v) => v.name));
      for (const v of pod.volumes) {
        if (v.configMap) assert.ok(maps.has(v.configMap.name), v.configMap.name);
        if (v.persistentVolumeClaim) assert.ok(claims.has(v.persistentVolumeClaim.claimName));
      }
      for (const c of pod.containers) {
        assert.ok(images.has(c.image), c.image);
        assert.equal(c.securityContext.readOnlyRootFilesystem, true);
        for (const { name } of c.volumeMounts) assert.ok(volumes.has(name), `${metadata.name}: ${name}`);
        const service = all.find((m) => m.kind === 'Service' && m.metadata.name === metadata.name) as unknown as {
          spec: { selector: { app: string }; ports: { targetPort: string }[] };
        };
        assert.equal(service.spec.selector.app, template.metadata.labels.app);
        assert.ok(c.ports.some((p) => p.name === service.spec.ports[0]?.targetPort));
      }
    }
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
