import { ModelError, type ModelProto, type NodeProto } from '../onnx/model.js';
import { type Probe, probeModel } from '../onnx/probe.js';
import { input, output } from '../ops/gradient.js';
import type { UnitFlow } from '../ops/record.js';
import { knownOf } from '../ops/table.js';

/** An axis of a weight tensor along which the units of a group lie: unit u has the indices `u * block` to `u * block + block - 1`. */
export interface Member {
  readonly tensor: string;
  readonly axis: number;
  readonly block: number;
}

/**
 * Hidden units (or channels) that can change places without changing what the model computes, where every member axis changes with them.
 * `size` is the number of units.
 */
export interface PermutationGroup {
  readonly size: number;
  readonly members: readonly Member[];
}

/** Where the units of an activation lie: axis 1, each taking `block` places. */
interface Axis {
  readonly id: number;
  readonly block: number;
}

/** Sets of units (union-find), joined where two activations meet. The units of a fixed set may not move. */
class Units {
  readonly #parent: number[] = [];
  readonly #size: number[] = [];
  readonly #fixed: boolean[] = [];

  make(size: number, fixed = false): number {
    this.#parent.push(this.#parent.length);
    this.#size.push(size);
    this.#fixed.push(fixed);
    return this.#parent.length - 1;
  }
  find(id: number): number {
    let root = id;
    while (this.#parent[root] !== root) root = this.#parent[root] as number;
    this.#parent[id] = root;
    return root;
  }
  fix(id: number): void {
    this.#fixed[this.find(id)] = true;
  }
  join(a: number, b: number): void {
    const [x, y] = [this.find(a), this.find(b)];
    if (x === y) return;
    this.#parent[y] = x;
    if (this.#fixed[y] || this.#size[x] !== this.#size[y]) this.#fixed[x] = true;
  }
  size(id: number): number {
    return this.#size[this.find(id)] as number;
  }
  isFixed(id: number): boolean {
    return this.#fixed[this.find(id)] === true;
  }
}

/**
 * Which axes of which weights permute together (Ainsworth et al. 2023, arXiv:2209.04836, section 3), derived from the graph and the
 * records of its ops (`UnitFlow`): dense layers, convolutions (depthwise ones too), batch normalisation, residual sums, flattening. Units
 * that enter or leave any other op stay where they are.
 * @param sample shape of one sample, without the batch.
 * @throws ModelError for a model that has no input, or does not run on two such samples.
 */
export async function permutationGroups(model: ModelProto, sample: readonly number[]): Promise<PermutationGroup[]> {
  const { graph } = model;
  if (!graph) throw new ModelError('ECAVG_MODEL_FILE', 'the model has no graph');
  const weights = new Set(graph.initializer.map((t) => t.name));
  const entry = graph.input.find((i) => !weights.has(i.name));
  if (!entry) throw new ModelError('ECAVG_MODEL_SHAPE', 'the model has no input');
  const probe = await probeModel(model, entry.name, [2, ...sample]);
  const walk = new Walk(probe, weights);
  walk.enter(entry.name);
  for (const node of graph.node) walk.visit(node);
  for (const out of graph.output) walk.pin(out.name);
  return walk.groups();
}

class Walk {
  readonly #units = new Units();
  readonly #axes = new Map<string, Axis>();
  readonly #members: (Member & { readonly id: number })[] = [];
  /** What a node does to the units that its first input carries, if it carries any. */
  readonly #flows: Readonly<Record<UnitFlow, (node: NodeProto, x: Axis | undefined) => void>> = {
    channelwise: (node, x) => (x ? this.#set(node, x) : this.#stop(node)),
    arithmetic: (node) => this.#arithmetic(node),
    dense: (node, x) => this.#dense(node, x),
    convolution: (node, x) => this.#convolution(node, x, false),
    'transposed-convolution': (node, x) => this.#convolution(node, x, true),
    normalisation: (node, x) => (x ? this.#normalisation(node, x) : this.#stop(node)),
    reshape: (node, x) => (x ? this.#reshape(node, x) : this.#stop(node)),
    reduction: (node, x) => (x ? this.#reduction(node, x) : this.#stop(node)),
    stops: (node) => this.#stop(node),
  };

  constructor(
    private readonly probe: Probe,
    private readonly weights: ReadonlySet<string>,
  ) {}

  enter(name: string): void {
    this.#axes.set(name, { id: this.#units.make(this.probe.shape(name)[1] ?? 1, true), block: 1 });
  }

  pin(name: string): void {
    const axis = this.#axes.get(name);
    if (axis) this.#units.fix(axis.id);
  }

  visit(node: NodeProto): void {
    // An op that is not known here: whatever enters it stays in place, and so does what comes out.
    this.#flows[knownOf(node)?.units ?? 'stops'](node, this.#axes.get(input(node, 0)));
  }

  groups(): PermutationGroup[] {
    const byRoot = new Map<number, Member[]>();
    for (const { id, ...member } of this.#members) {
      if (this.#units.isFixed(id)) continue;
      const root = this.#units.find(id);
      const members = byRoot.get(root) ?? [];
      const same = (m: Member): boolean => m.tensor === member.tensor && m.axis === member.axis;
      if (!members.some(same)) members.push(member);
      byRoot.set(root, members);
    }
    return [...byRoot].map(([root, members]) => ({ size: this.#units.size(root), members }));
  }

  #set(node: NodeProto, axis: Axis): void {
    this.#axes.set(output(node), axis);
  }

  #member(tensor: string, axis: number, { id, block }: Axis): void {
    const length = this.weights.has(tensor) ? this.probe.shape(tensor)[axis] : undefined;
    // A tensor that is computed, or of another length, can't follow.
    if (length !== this.#units.size(id) * block) this.#units.fix(id);
    else this.#members.push({ tensor, axis, block, id });
  }

  #stop(node: NodeProto): void {
    for (const name of node.input) this.pin(name);
    for (const name of node.output.filter((n) => n !== '')) this.enter(name);
  }

  #dense(node: NodeProto, x: Axis | undefined): void {
    const w = input(node, 1);
    const transposed = node.attribute.some((a) => a.name === 'transB' && a.i === 1n);
    const other = node.attribute.some((a) => a.name === 'transA' && a.i === 1n);
    if (!x || other || !this.weights.has(w) || this.probe.shape(output(node)).length !== 2) return this.#stop(node);
    const axis = { id: this.#units.make(this.probe.shape(output(node))[1] as number), block: 1 };
    this.#member(w, transposed ? 1 : 0, x);
    this.#member(w, transposed ? 0 : 1, axis);
    const bias = input(node, 2);
    if (bias !== '') this.#beside(bias, 2, axis);
    this.#set(node, axis);
  }

  #convolution(node: NodeProto, x: Axis | undefined, transposed: boolean): void {
    const w = input(node, 1);
    if (x?.block !== 1 || !this.weights.has(w)) return this.#stop(node);
    const groups = Number(node.attribute.find((a) => a.name === 'group')?.i ?? 1n);
    const channels = this.#units.size(x.id);
    const outputs = this.probe.shape(output(node))[1] as number;
    if (groups !== 1 && (transposed || groups !== channels || outputs !== channels)) return this.#stop(node);
    // Depthwise: a channel keeps its kernel.
    const axis = groups === 1 ? { id: this.#units.make(outputs), block: 1 } : x;
    if (groups === 1) this.#member(w, transposed ? 0 : 1, x);
    this.#member(w, transposed ? 1 : 0, axis);
    if (input(node, 2) !== '') this.#member(input(node, 2), 0, axis);
    this.#set(node, axis);
  }

  /** A constant that is broadcast beside an activation of this rank. */
  #beside(name: string, rank: number, axis: Axis): void {
    const shape = this.probe.shape(name);
    const at = 1 - (rank - shape.length);
    if (at >= 0 && (shape[at] as number) > 1) this.#member(name, at, axis);
  }

  #arithmetic(node: NodeProto): void {
    const shape = this.probe.shape(output(node));
    const known = node.input.filter((n) => this.#axes.has(n));
    const [first] = known;
    const axis = first === undefined ? undefined : this.#axes.get(first);
    if (!axis || shape.length < 2) return this.#stop(node);
    for (const name of node.input) {
      const other = this.#axes.get(name);
      if (!other) this.#beside(name, shape.length, axis);
      else if (this.probe.shape(name).join() !== shape.join() || other.block !== axis.block) return this.#stop(node);
      else this.#units.join(axis.id, other.id);
    }
    this.#set(node, axis);
  }

  #normalisation(node: NodeProto, x: Axis): void {
    for (let i = 1; i <= 4; i++) this.#member(input(node, i), 0, x);
    this.#set(node, x);
  }

  /** Flatten, Reshape, Squeeze: where the channels stay in front, each keeps its place or takes a block of places. */
  #reshape(node: NodeProto, x: Axis): void {
    const [from, to] = [this.probe.shape(input(node, 0)), this.probe.shape(output(node))];
    if (from[0] !== to[0] || to.length < 2) return this.#stop(node);
    if (from[1] === to[1]) return this.#set(node, x);
    if (to.length !== 2) return this.#stop(node);
    this.#set(node, { id: x.id, block: x.block * product(from.slice(2)) });
  }

  /** Sums and means over axes behind the channels. */
  #reduction(node: NodeProto, x: Axis): void {
    const [from, to] = [this.probe.shape(input(node, 0)), this.probe.shape(output(node))];
    if (from[0] === to[0] && to.length >= 2 && from[1] === to[1]) this.#set(node, x);
    else this.#stop(node);
  }
}

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
