import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DataType, GraphBuilder, parseModel, serializeModel } from '@ecavg/models';
import * as ort from 'onnxruntime-node';
import { ECAVG } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-model-'));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);
const model = (...args: string[]) => {
  const r = spawnSync(process.execPath, [ECAVG, 'model', ...args], { encoding: 'utf8' });
  return { code: r.status, out: r.stdout, err: r.stderr };
};
const fixture = (name: string): string => fileURLToPath(new URL(`../../models/fixtures/${name}`, import.meta.url));

describe('ecavg model', () => {
  test('a PyTorch export is prepared, evaluates the same, and comes back as plain ONNX', async () => {
    const { code, out, err } = model(
      'prepare',
      fixture('resnet.onnx'),
      '--labels',
      '5',
      '--freeze',
      '0.weight',
      '--out',
      at('resnet'),
    );
    assert.equal(code, 0, err);
    assert.match(out, /parameters: \d+ tensors[\s\S]*buffers \(running statistics\)/);
    assert.doesNotMatch(out, /^ {2}0\.weight /m);
    assert.deepEqual(readdirSync(at('resnet')).sort(), [
      'eval.onnx',
      'infer.onnx',
      'manifest.json',
      'train.onnx',
      'weights.bin',
    ]);
    assert.equal(
      model('export', at('resnet'), '--weights', at('resnet/weights.bin'), '--out', at('back.onnx')).code,
      0,
    );
    const x = new ort.Tensor(
      'float32',
      Float32Array.from({ length: 2 * 768 }, (_, i) => Math.cos(i)),
      [2, 3, 16, 16],
    );
    const results: Float32Array[] = [];
    for (const file of [fixture('resnet.onnx'), at('back.onnx')]) {
      const session = await ort.InferenceSession.create(readFileSync(file));
      results.push((await session.run({ x })).logits?.data as Float32Array);
      await session.release();
    }
    assert.deepEqual(results[0], results[1]);
  });

  test('a model of the zoo: init, prepare, inspect, eval', () => {
    assert.equal(model('init', 'mlp', '--input', '1,28,28', '--out', at('digits.onnx')).code, 0);
    assert.equal(model('prepare', at('digits.onnx'), '--optimizer', 'adamw', '--clip-norm', '1').code, 0);
    assert.match(model('inspect', at('digits.onnx')).out, /2 Gemm/);
    assert.match(model('inspect', at('digits.ecavg')).out, /"optimizer": "adamw"/);
    const result = JSON.parse(model('eval', at('digits.ecavg')).out) as { samples: number; accuracy: number };
    assert.equal(result.samples, 2000);
    assert.ok(result.accuracy < 0.3, 'untrained');
    assert.equal(model('init', 'mlp', '--input', '1,28,28', '--out', at('digits.onnx')).code, 2);
  });

  test('what can not be trained is refused in one sentence, and nothing is written', () => {
    const write = (name: string, bytes: Uint8Array): string => {
      writeFileSync(at(name), bytes);
      return at(name);
    };
    const small = (shape: (number | string)[], op: string): Uint8Array => {
      const b = new GraphBuilder();
      const h = b.op('MatMul', [
        b.input('x', DataType.FLOAT, shape),
        b.weights('w', [4, 3], new Float32Array(12).fill(0.1)),
      ]);
      b.named('y', op, [h]);
      b.output('y', DataType.FLOAT, ['N', 3]);
      return serializeModel(b.model({ name: 'small' }));
    };
    const changed = (
      change: (t: { dataType: number; dataLocation: number; rawData: Uint8Array }) => void,
    ): Uint8Array => {
      const m = parseModel(small(['N', 4], 'Relu'));
      for (const t of m.graph?.initializer ?? []) change(t);
      return serializeModel(m);
    };
    const whole = readFileSync(fixture('resnet.onnx'));
    cpSync(at('digits.ecavg'), at('damaged'), { recursive: true });
    truncateSync(at('damaged/infer.onnx'), 1000);
    const cases: [string[], RegExp][] = [
      [['prepare', write('text.onnx', Buffer.from('no model'))], /text\.onnx is not an ONNX file/],
      [['prepare', write('half.onnx', whole.subarray(0, whole.length / 2))], /half\.onnx is not an ONNX/],
      [
        // Random numbers have nothing to do with the values of the input, so that no rule for this op will ever be added.
        ['prepare', write('op.onnx', small(['N', 4], 'RandomNormalLike'))],
        /RandomNormalLike node "RandomNormalLike:y".*can't be trained through: supported are/,
      ],
      [
        ['prepare', write('open.onnx', small(['N', 'M'], 'Relu'))],
        /input "x" has shape \[N, M\]: its size is not fixed; give .*--sample/,
      ],
      [
        [
          'prepare',
          write(
            'half16.onnx',
            changed((t) => Object.assign(t, { dataType: DataType.FLOAT16 })),
          ),
        ],
        /"w" has 16-bit weights/,
      ],
      [
        [
          'prepare',
          write(
            'external.onnx',
            changed((t) => Object.assign(t, { dataLocation: 1, rawData: new Uint8Array() })),
          ),
        ],
        /"w" lies in an external file/,
      ],
      [
        ['prepare', fixture('signal.onnx'), '--labels', '9', '--out', at('none')],
        /gives \[5\] outputs a sample, not 9 labels/,
      ],
      [
        ['prepare', fixture('signal.onnx'), '--freeze', 'zzz*', '--out', at('none')],
        /no parameter is called "zzz\*"; there are/,
      ],
      [['eval', at('damaged')], /infer\.onnx is not the file that the manifest names/],
      [['eval', at('nowhere')], /manifest\.json can't be read \(ENOENT\)/],
    ];
    for (const [args, pattern] of cases) {
      const { code, err } = model(...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(err, pattern);
      assert.equal(err.trim().split('\n').length, 1, err);
    }
    assert.ok(!existsSync(at('none')));
    assert.deepEqual(
      readdirSync(folder).filter((n) => n.startsWith('.') || /^(text|half|op|open|half16|external)\.ecavg/.test(n)),
      [],
    );
  });
});
