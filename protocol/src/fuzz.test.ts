import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { edgeChunks, UpdateAssembler } from './chunks.js';
import { CODECS } from './codec/index.js';
import { PRESETS } from './codec/presets.js';
import { ProtocolError } from './errors.js';
import { makeLayout } from './layout.js';
import { decodeMessage, encodeMessage, type MessageType } from './messages.js';
import { checkSigned, encodeSigned, Signer } from './signing.js';
import { decodeUpdate, encodeUpdate } from './update.js';

/** Mutated messages; `ECAVG_FUZZ=5000000 npm run test:unit` runs more. */
const RUNS = Number(process.env.ECAVG_FUZZ ?? 100_000);
const SEED = Number(process.env.ECAVG_FUZZ_SEED ?? 1);
/** A single message may take this long on a slow machine that does something else as well. */
const SLOW_MS = 500;
/** Bytes of typed arrays that a single message may have made: the models here have 600 values. */
const ALLOWANCE = 1 << 20;

/** xorshift32: the same mutations for the same seed. */
function generator(seed: number): (below: number) => number {
  let x = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return (below) => {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x % below;
  };
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xc1, 0xc4, 0xc6, 0xca, 0xcb, 0xdc, 0xdd, 0xde, 0xdf, 0xff];

function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  let out = [...bytes];
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(Math.max(1, out.length));
    switch (random(7)) {
      case 0:
        out[at] = (out[at] ?? 0) ^ (1 << random(8));
        break;
      case 1:
        out[at] = random(256);
        break;
      case 2:
        out[at] = INTERESTING[random(INTERESTING.length)] ?? 0;
        break;
      case 3:
        out = out.slice(0, at);
        break;
      case 4:
        out.splice(at, 0, ...Array.from({ length: 1 + random(8) }, () => random(256)));
        break;
      case 5:
        out.splice(at, 1 + random(8));
        break;
      default:
        // A length or a float in four bytes.
        for (let i = 0; i < 4; i++) out[at + i] = random(3) === 0 ? 0xff : random(256);
    }
  }
  return Uint8Array.from(out.slice(0, 4 * bytes.length + 64), (b) => b ?? 0);
}

const layout = makeLayout([
  { name: 'w', shape: [12, 30] },
  { name: 'k', shape: [8, 3, 3, 3] },
  { name: 'b', shape: [12] },
  { name: 's', shape: [] },
  { name: 'none', shape: [0, 4] },
]);
const delta = Float32Array.from({ length: layout.total }, (_, i) => Math.sin(i * 1.3) ** 5 * 0.01);
const signer = Signer.generate();
const id = 'a'.repeat(64);
const header = {
  fleet: 'f',
  edge: 'e',
  model: 'm',
  round: 1,
  base: id,
  codec: 'range',
  layout: layout.hash,
  samples: 10,
  steps: 3,
  createdAt: 1,
  metrics: { loss: 0.5 },
};

interface Target {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  read(bytes: Uint8Array): void;
}

function targets(): Target[] {
  const list: Target[] = [];
  for (const coder of Object.values(CODECS)) {
    const variants =
      coder.name === 'range' ? [...Object.values(PRESETS), { bits: 8 }, { step: 1, deadZone: 0.6 }] : [{}];
    const known = coder.levels?.(coder.encode(delta, layout, { step: 1 }), layout);
    const seeds = variants.flatMap((o) => [
      coder.encode(delta, layout, o),
      ...(known ? [coder.encode(delta, layout, o, known)] : []),
    ]);
    const sum = new Float32Array(layout.total);
    list.push({
      name: `codec ${coder.name}`,
      seeds,
      read(bytes) {
        coder.check(bytes, layout, known);
        // What was checked must not fail, and not harm the sum.
        sum.fill(0);
        coder.accumulate(bytes, layout, 1, sum, known);
        assert.ok(sum.every(Number.isFinite), 'a value that is not finite');
      },
    });
  }
  const blob = encodeUpdate(header, CODECS.range?.encode(delta, layout, {}) ?? new Uint8Array(), signer);
  list.push({ name: 'update blob', seeds: [blob], read: (bytes) => void decodeUpdate(bytes) });
  const [chunk] = edgeChunks(blob, { edge: 'e', model: 'm', round: 1, base: id }, 200);
  assert.ok(chunk);
  const assembler = new UpdateAssembler(1 << 20);
  const messages: [MessageType, Uint8Array][] = [
    ['update', encodeMessage('update', chunk)],
    ['receipt', encodeMessage('receipt', { id, status: 'missing', round: 1, missing: Uint8Array.of(3) })],
    [
      'status',
      encodeMessage('status', { edge: 'e', online: true, session: 1, software: 's', samples: 1, models: { m: 1 } }),
    ],
    ['enrol', encodeMessage('enrol', { edge: 'e', model: 'm', key: id, proof: id })],
    [
      'metrics',
      encodeMessage('metrics', { edge: 'e', model: 'm', event: 'trained', round: 1, version: 1, values: { a: 1 } }),
    ],
    [
      'round',
      encodeSigned(
        'round',
        {
          model: 'm',
          round: 1,
          state: 'open',
          base: { version: 1, sha256: id },
          openedAt: 1,
          deadlineAt: 2,
          hyper: { epochs: 1, learningRate: 0.1, momentum: 0, seed: 0 },
          codec: { name: 'range', options: { step: 2 } },
        },
        signer,
      ),
    ],
  ];
  for (const [type, seed] of messages) {
    list.push({
      name: `message ${type}`,
      seeds: [seed],
      read(bytes) {
        const message = decodeMessage(type, bytes);
        if (message.type === 'update') assembler.add(message);
        if (message.type === 'round') checkSigned(message);
      },
    });
  }
  return list;
}

describe(`${RUNS} mutated messages, seed ${SEED}`, () => {
  const all = targets();
  for (const [k, target] of all.entries()) {
    test(`${target.name}: a typed refusal or a sound result, in time and memory`, () => {
      for (const seed of target.seeds) target.read(seed);
      const random = generator(SEED + k);
      let refused = 0;
      const runs = Math.ceil(RUNS / all.length);
      for (let i = 0; i < runs; i++) {
        const bytes = mutate(target.seeds[random(target.seeds.length)] ?? new Uint8Array(), random);
        const before = process.memoryUsage().arrayBuffers;
        // Of the processor: other programs on the machine don't count.
        const start = process.cpuUsage();
        try {
          target.read(bytes);
        } catch (error) {
          refused++;
          if (!(error instanceof ProtocolError)) {
            throw new Error(`run ${i}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
          }
        }
        const { user, system } = process.cpuUsage(start);
        const ms = (user + system) / 1000;
        assert.ok(ms < SLOW_MS, `run ${i} took ${ms} ms: ${Buffer.from(bytes).toString('hex')}`);
        const made = process.memoryUsage().arrayBuffers - before;
        assert.ok(made < ALLOWANCE, `run ${i} made ${made} bytes: ${Buffer.from(bytes).toString('hex')}`);
      }
      assert.ok(refused > runs / 20, `only ${refused} of ${runs} were refused: do the mutations reach it?`);
    });
  }
});
