import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Artifact, varianceTensors } from '@ecavg/models';
import { codec, decodeUpdate } from '@ecavg/protocol';
import {
  bytesSchema,
  listFolder,
  opaqueState,
  StateFile,
  StateFormat,
  toBytes,
  toFloats,
  unchanged,
} from '@ecavg/runtime';
import { z } from 'zod';
import { wantsOwnDifference } from '../aggregation/chosen.js';
import { type Combined, combine, type Update } from '../aggregation/combine.js';
import type { StrategyConfig } from '../aggregation/config.js';
import { type Plain, type ServerState, serverStep } from '../aggregation/serverOptimizer.js';
import type { References } from '../inbox/references.js';
import type { Accepted } from '../inbox/roundStore.js';
import type { Slices } from '../inbox/slices.js';
import { Ingredients } from './ingredients.js';

/** A running variance may not fall below this share of what it was: quantised updates could make it negative. */
const LEAST_VARIANCE = 1e-3;

const momentsSchema = z.object({ m: bytesSchema.optional(), v: bytesSchema.optional() });

const momentsFormat = new StateFormat({
  kind: 'moments of the server optimiser',
  at: { cloud: '[fleets/{fleet}/]rounds/{model}/moments/{sha256}' },
  holds: 'first and second moments (float32) for rounds on the version of this sha256',
  removed: 'safe: they are gathered anew, from nothing',
  format: 1,
  encoding: 'messagepack',
  schema: momentsSchema,
  migrations: { 0: unchanged },
});

const WORK = 'rounds/{model}/work/{spool}/{row}';
opaqueState({
  kind: 'room for large updates',
  at: { cloud: `[fleets/{fleet}/]${WORK}`, region: WORK },
  holds: 'decoded updates (float32) while robust combiners read them block by block',
  told: 'nothing: it is written and read within one step, and never by another run',
  removed: 'safe',
});

export interface Aggregate {
  /** `layout.total` values. */
  readonly weights: Float32Array;
  readonly combined: Combined;
  readonly state: ServerState;
  /** What it was made of, for the guard. */
  readonly ingredients: Ingredients;
}

export interface AggregateOptions {
  /** Makes the cloud's own difference from the base, where the combiner wants one. */
  readonly own?: () => Promise<Float32Array | undefined>;
  /** In [0, 1], by edge; default 1. */
  readonly reliability?: (edge: string) => number;
  /** Versions between an update's base, by its sha256, and `base`; default 0. */
  readonly staleness?: (sha256: string) => number;
}

const nameOf = ({ header }: Accepted): string => `${header.edge}@${header.round}`;

/** Makes one model of accepted updates: weighting, clipping, combiner and the server's optimiser, as configured. */
export class Aggregator {
  constructor(
    private readonly config: { readonly strategy: StrategyConfig },
    /** Of this model: the server's moments, and room for large updates. */
    private readonly folder: string,
    private readonly references: References,
    private readonly slices: Slices,
  ) {}

  async aggregate(base: Artifact, accepted: readonly Accepted[], about: AggregateOptions = {}): Promise<Aggregate> {
    const { strategy } = this.config;
    const { own, reliability = () => 1, staleness = () => 0 } = about;
    const inOrder = [...accepted].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    const updates: Update[] = [];
    for (const a of inOrder)
      updates.push(await this.#update(base, a, reliability(a.header.edge), staleness(a.header.base)));
    const mine = wantsOwnDifference(strategy) ? await own?.() : undefined;
    const work = join(this.folder, 'work');
    await mkdir(work, { recursive: true });
    const combined = await combine(updates, base.layout.total, strategy, work, mine);
    const plain = base.info.buffers.map(({ name }) => rangeOf(base, name));
    const before = await this.state(base.sha256);
    const { weights, state } = serverStep(base.weights, combined.difference, strategy.server, before, plain);
    const variances = base.model.graph ? varianceTensors(base.model.graph) : [];
    for (const name of variances) keepPositive(base.weights, weights, rangeOf(base, name));
    const ingredients = new Ingredients(base, updates, combined, (w) => {
      for (const name of variances) keepPositive(base.weights, w, rangeOf(base, name));
    });
    return { weights, combined, state, ingredients };
  }

  /** Keeps the server's moments for the rounds on version `sha256`; call it before the version is registered. */
  async keep(sha256: string, { m, v }: ServerState): Promise<void> {
    if (!m && !v) return;
    const moments = { ...(m && { m: toBytes(m) }), ...(v && { v: toBytes(v) }) };
    await this.#momentsOf(sha256).write(moments);
  }

  /** Removes the moments of all versions but these. */
  async prune(kept: readonly string[]): Promise<void> {
    for (const name of await listFolder(this.#moments)) {
      if (!kept.includes(name)) await this.#momentsOf(name).remove();
    }
  }

  get #moments(): string {
    return join(this.folder, 'moments');
  }

  #momentsOf(sha256: string): StateFile<z.output<typeof momentsSchema>> {
    return new StateFile(join(this.#moments, sha256), momentsFormat);
  }

  /** The server's moments for rounds on version `sha256`. */
  async state(sha256: string): Promise<ServerState> {
    const { m, v } = (await this.#momentsOf(sha256).read()) ?? {};
    return { ...(m && { m: toFloats(m) }), ...(v && { v: toFloats(v) }) };
  }

  async #update(base: Artifact, { header, path }: Accepted, reliability: number, staleness: number): Promise<Update> {
    const { references } = this;
    const { edge, samples, steps, labels, width } = header;
    const slice = width === undefined ? undefined : await this.slices.of(width);
    const layout = slice?.layout ?? base.layout;
    const decode = async (accumulator: Float32Array, weight: number): Promise<void> => {
      const { payload } = decodeUpdate(await readFile(path));
      const coder = codec(header.codec);
      const used = coder.referenceOf?.(payload);
      const reference = used ? await references.get(edge, used, layout.total) : undefined;
      coder.accumulate(payload, layout, weight, accumulator, reference);
    };
    return {
      about: { edge, samples, steps, ...(labels && { labels }), staleness, reliability },
      holds: slice?.positions,
      async addTo(accumulator, weight) {
        if (!slice) return decode(accumulator, weight);
        const narrow = new Float32Array(layout.total);
        await decode(narrow, weight);
        for (const [i, at] of slice.positions.entries())
          accumulator[at] = (accumulator[at] as number) + (narrow[i] as number);
      },
    };
  }
}

function rangeOf({ layout }: Artifact, name: string): Plain[number] {
  const slot = layout.tensors.find((t) => t.name === name);
  return slot ? [slot.offset, slot.offset + slot.length] : [0, 0];
}

function keepPositive(before: Float32Array, weights: Float32Array, [start, end]: Plain[number]): void {
  for (let i = start; i < end; i++) {
    weights[i] = Math.max(weights[i] as number, LEAST_VARIANCE * Math.max(0, before[i] as number), Number.MIN_VALUE);
  }
}
