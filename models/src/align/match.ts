import type { Layout, TensorSlot } from '@ecavg/protocol';
import { Random } from '../random.js';
import { assign } from './assign.js';
import type { Member, PermutationGroup } from './groups.js';
import { Products } from './products.js';

/** A tensor seen along one axis: [outer, units, inner], `inner` with the block of each unit. */
interface View {
  readonly slot: TensorSlot;
  readonly outer: number;
  readonly inner: number;
}

function viewOf(layout: Layout, { tensor, axis, block }: Member): View | undefined {
  const slot = layout.tensors.find((t) => t.name === tensor);
  if (!slot) return undefined;
  const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
  return { slot, outer: product(slot.shape.slice(0, axis)), inner: product(slot.shape.slice(axis + 1)) * block };
}

/** Whether every tensor of a group is part of the layout: one that is not (frozen, say) does not travel, and can't be permuted. */
export function canMove(layout: Layout, group: PermutationGroup): boolean {
  return group.members.every((m) => viewOf(layout, m) !== undefined);
}

/**
 * Moves the units of a group, in place: unit i of the result is unit `order[i]` of before.
 * @param weights flat, `layout.total` values. @param order a permutation of `group.size` units.
 */
export function permute(layout: Layout, weights: Float32Array, group: PermutationGroup, order: Int32Array): void {
  for (const member of group.members) {
    const view = viewOf(layout, member);
    if (!view) continue;
    const { slot, outer, inner } = view;
    const stretch = group.size * inner;
    for (let o = 0; o < outer; o++) {
      const start = slot.offset + o * stretch;
      const old = weights.slice(start, start + stretch);
      for (let i = 0; i < group.size; i++) {
        const from = (order[i] as number) * inner;
        weights.set(old.subarray(from, from + inner), start + i * inner);
      }
    }
  }
}

/** A tensor's units as rows: n x (outer inner). A view where they lie so already. */
function unitRows(weights: Float32Array, { slot, outer, inner }: View, n: number): Float32Array {
  const values = weights.subarray(slot.offset, slot.offset + outer * n * inner);
  if (outer === 1) return values;
  const rows = new Float32Array(values.length);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < n; i++) {
      const from = (o * n + i) * inner;
      rows.set(values.subarray(from, from + inner), (i * outer + o) * inner);
    }
  }
  return rows;
}

/** Inner products of all units of `a` with all of `b` over the group's tensors; `skip` names tensors that do not count. */
async function similarities(
  layout: Layout,
  group: PermutationGroup,
  a: Float32Array,
  b: Float32Array,
  skip: ReadonlySet<string>,
  products: Products,
): Promise<Float64Array> {
  const n = group.size;
  const sums = new Float64Array(n * n);
  for (const member of group.members) {
    const view = skip.has(member.tensor) ? undefined : viewOf(layout, member);
    if (!view) continue;
    await products.add(unitRows(a, view, n), unitRows(b, view, n), n, view.outer * view.inner, sums);
  }
  return sums;
}

/** Relative; inner products of large groups are summed in single precision. */
const LEAST_GAIN = 1e-6;

/** Weights with their units in another order, and how much had to move. */
export interface Matched {
  /** `layout.total` values: the same model with its units in the order that is nearest to the reference. */
  readonly weights: Float32Array;
  /** Units that changed places. */
  readonly moved: number;
  readonly sweeps: number;
}

/**
 * Weight matching (Git Re-Basin; Ainsworth et al. 2023, arXiv:2209.04836, Algorithm 1): puts the hidden units of `weights` into the order in
 * which they are most like those of `reference`, group by group by linear assignment, until nothing changes. The model computes the same as
 * before. Groups of which a tensor is not in the layout stay as they are.
 * @param reference flat, `layout.total` values; so are `weights`, which are not changed.
 * @param options `buffers`: tensors that move along but do not count, such as running statistics; `seed` of the order in which groups are
 *   taken; `maxSweeps`, default 50; `threads` of large products, default 1.
 */
export async function matchWeights(
  layout: Layout,
  groups: readonly PermutationGroup[],
  reference: Float32Array,
  weights: Float32Array,
  options: {
    readonly buffers?: readonly string[];
    readonly seed?: number;
    readonly maxSweeps?: number;
    readonly threads?: number;
  } = {},
): Promise<Matched> {
  const skip = new Set(options.buffers ?? []);
  const current = weights.slice();
  const movable = groups.filter((g) => canMove(layout, g));
  const random = new Random(options.seed ?? 0, 'align');
  const products = new Products(options.threads ?? 1);
  // A group has to be looked at again only when a group that shares a tensor with it was put in another order.
  const tensors = movable.map((g) => new Set(g.members.map((m) => m.tensor)));
  const open = new Set(movable.keys());
  let moved = 0;
  let sweeps = 0;
  try {
    for (; open.size > 0 && sweeps < (options.maxSweeps ?? 50); sweeps++) {
      for (const g of random.shuffle([...movable.keys()])) {
        if (!open.delete(g)) continue;
        const group = movable[g] as PermutationGroup;
        const gain = await similarities(layout, group, reference, current, skip, products);
        const order = assign(gain, group.size);
        const score = (at: (i: number) => number): number =>
          order.reduce((s, _, i) => s + (gain[i * group.size + at(i)] as number), 0);
        // Equal up to rounding is no improvement: two orders of like units would take turns for ever.
        const now = score((i) => i);
        if (score((i) => order[i] as number) - now <= LEAST_GAIN * Math.abs(now) + 1e-12) continue;
        permute(layout, current, group, order);
        moved += order.filter((o, i) => o !== i).length;
        for (const [other, names] of tensors.entries())
          if (other !== g && [...names].some((t) => tensors[g]?.has(t))) open.add(other);
      }
    }
  } finally {
    await products.release();
  }
  return { weights: current, moved, sweeps };
}
