import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERRORS, GENERAL_ERRORS, REJECT_REASONS, refusalCode } from '@ecavg/protocol/errors';
import { ECAVG } from './harness.js';
import { paced } from './pace.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGES = ['protocol', 'runtime', 'models', 'broker', 'edge', 'cloud', 'cli'];
const folder = mkdtempSync(join(tmpdir(), 'ecavg-errors-'));
after(() => rmSync(folder, { recursive: true }));

/** The text of all code but tests and the table itself. */
const sources = PACKAGES.flatMap((name) =>
  readdirSync(join(ROOT, name, 'src'), { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && e.name.endsWith('.ts') && !e.name.endsWith('.test.ts') && e.name !== 'errorTable.ts')
    .map((e) => readFileSync(join(e.parentPath ?? e.path, e.name), 'utf8')),
).join('\n');

describe('codes of errors', () => {
  test('every code of the table can come', () => {
    const unused = Object.keys(GENERAL_ERRORS).filter(
      (code) => !sources.includes(`'${code}'`) && !sources.includes(`[${code}]`),
    );
    assert.deepEqual(unused, []);
  });

  test('every reason of a refusal has a code with cause and mend', () => {
    for (const reason of REJECT_REASONS) {
      const { cause, mend } = ERRORS[refusalCode(reason)];
      assert.ok(cause.length > 10 && mend.length > 5, reason);
    }
  });
});

describe('a command that fails says its code at the end of its line', () => {
  const settings = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  const says = (args: string[], status: number, line: RegExp): void => {
    const { stderr, status: code } = spawnSync(process.execPath, [ECAVG, ...args], {
      encoding: 'utf8',
      cwd: folder,
      timeout: paced(30_000),
    });
    assert.match(stderr, line);
    assert.equal(code, status, stderr);
  };

  test('a field out of range', () => {
    const file = settings('field.yaml', 'dataDir: d\nmodel: { id: m }\nrounds: { quorum: 2 }\n');
    says(['cloud', '--config', file], 2, /field\.yaml: rounds\.quorum is 2: .* \[ECAVG_CONFIG_FIELD\]\n$/);
  });
  test('a file that is not there, and one that is no YAML', () => {
    says(['edge', '--config', 'none.yaml'], 2, /none\.yaml can't be read .* \[ECAVG_CONFIG_FILE\]\n$/);
    says(['edge', '--config', settings('bad.yaml', 'a: [')], 2, / \[ECAVG_CONFIG_YAML\]\n$/);
  });
  test('an option that there is not, at any depth', () => {
    says(['edge', '--bogus'], 2, /unknown option '--bogus' \[ECAVG_ARGUMENT\]\n/);
    says(['broker', 'user', 'list', '--bogus'], 2, /unknown option '--bogus' \[ECAVG_ARGUMENT\]\n/);
    says(['cloud', 'token', '--valid', 'never'], 2, /\[ECAVG_ARGUMENT\]\n/);
  });
  test('an extension that is not there', () => {
    const file = settings('extension.yaml', 'dataDir: d\nmodel: { id: m }\nextensions: [./none.mjs]\n');
    says(['cloud', '--config', file], 2, /none\.mjs.* \[ECAVG_EXTENSION_LOAD\]\n$/);
  });
  test('a model that is none', () => {
    says(['model', 'inspect', settings('m.onnx', 'no model')], 1, / \[ECAVG_MODEL_FILE\]\n$/);
  });
  test('a gateway that never ran', () => {
    const file = settings('edge.yaml', 'edge: e\nmodel: m\ndataDir: nowhere\n');
    says(['edge', 'status', '--config', file], 2, / \[ECAVG_NOT_FOUND\]\n$/);
  });
  test('a damaged key: named, and left as it is', () => {
    const dataDir = join(folder, 'key');
    mkdirSync(dataDir);
    const key = join(dataDir, 'key.pem');
    writeFileSync(key, '-----BEGIN PRIVATE KEY-----\nMC4C');
    const file = settings(
      'key.yaml',
      `edge: e\nmodel: m\ndataDir: ${JSON.stringify(dataDir)}\nlog: { format: json }\n`,
    );
    says(['edge', '--config', file], 1, /"code":"ECAVG_SECRET_FILE".*key\.pem is damaged.*"failed to start"/);
    assert.match(readFileSync(key, 'utf8'), /MC4C$/);
  });
  test('a data folder of another daemon: in the log line, and exit code 2', () => {
    const dataDir = join(folder, 'of-a-cloud');
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'ecavg.json'), '{"format":1,"role":"cloud","software":"ecavg 0.1.0"}');
    const file = settings(
      'role.yaml',
      `edge: e\nmodel: m\ndataDir: ${JSON.stringify(dataDir)}\nlog: { format: json }\n`,
    );
    says(['edge', '--config', file], 2, /"code":"ECAVG_STATE_ROLE".*"failed to start"/);
  });
});
