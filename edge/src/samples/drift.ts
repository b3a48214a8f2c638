import { z } from 'zod';

export const driftSchema = z
  .strictObject({
    /** Windows that say how the data was, and the newest ones that say how it is; 0: no drift detection. */
    windows: z.int().min(0).max(100_000).default(500),
    /** Population stability index from which on a channel has moved, and from which on it has drifted. */
    psiWarning: z.number().gt(0).default(0.1),
    psiAlarm: z.number().gt(0).default(0.25),
    pageHinkley: z
      .strictObject({
        minimum: z.int().min(1).default(30),
        /** Slack, and how far a sum may go, in deviations of the values that are normal. */
        delta: z.number().min(0).default(0.5),
        threshold: z.number().gt(0).default(50),
      })
      .prefault({}),
  })
  .prefault({});
export type DriftConfig = z.output<typeof driftSchema>;

/**
 * Page-Hinkley test for a change of the mean, up or down (Page 1954; with the constants of Mouss et al. 2004): of x_1.. the sums
 * m_t = sum (x_i - mean_i - delta) and their mirror; an alarm where one is more than `threshold` away from its extreme.
 */
export class PageHinkley {
  #n = 0;
  #mean = 0;
  #up = 0;
  #least = 0;
  #down = 0;
  #most = 0;

  constructor(private readonly options: DriftConfig['pageHinkley']) {}

  /** True where the mean has changed with this value. */
  add(x: number): boolean {
    const { minimum, delta, threshold } = this.options;
    this.#n++;
    this.#mean += (x - this.#mean) / this.#n;
    this.#up += x - this.#mean - delta;
    this.#least = Math.min(this.#least, this.#up);
    this.#down += x - this.#mean + delta;
    this.#most = Math.max(this.#most, this.#down);
    return this.#n >= minimum && (this.#up - this.#least > threshold || this.#most - this.#down > threshold);
  }
}

const BINS = 10;

/**
 * Population stability index: sum over bins of (p - q) ln(p / q), p the shares then and q now, in ten bins that the values of then
 * fill equally. Half a value is added to every bin, so that an empty one gives no infinity.
 */
export function stabilityIndex(then: readonly number[], now: readonly number[]): number {
  return new Stability(then).index(now);
}

/** What the values of then make, once, for all that they are compared with. */
class Stability {
  readonly #edges: readonly number[];
  readonly #then: readonly number[];

  constructor(then: readonly number[]) {
    const sorted = [...then].sort((a, b) => a - b);
    this.#edges = Array.from({ length: BINS - 1 }, (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / BINS)] ?? 0);
    this.#then = this.#shares(then);
  }

  index(now: readonly number[]): number {
    const q = this.#shares(now);
    return this.#then.reduce((sum, p, i) => sum + (p - (q[i] ?? 0)) * Math.log(p / (q[i] ?? 1)), 0);
  }

  #shares(values: readonly number[]): number[] {
    const counts: number[] = Array(BINS).fill(0.5);
    for (const v of values) {
      const bin = this.#edges.findIndex((edge) => v < edge);
      const at = bin < 0 ? BINS - 1 : bin;
      counts[at] = (counts[at] ?? 0) + 1;
    }
    return counts.map((c) => c / (values.length + BINS / 2));
  }
}

/** What the monitor found in one value's course. */
export interface Drift {
  readonly what: string;
  readonly test: 'page-hinkley' | 'psi';
}

/** Follows one value of every window: its first values are what it is compared with. */
class Course {
  readonly normal: number[] = [];
  readonly now: number[] = [];
  #mean = 0;
  #deviation = 1;
  #test: PageHinkley;
  #stability: Stability | undefined;
  psi: number | undefined;

  constructor(
    private readonly config: DriftConfig,
    then: readonly number[] = [],
  ) {
    this.#test = new PageHinkley(config.pageHinkley);
    this.normal.push(...then);
    this.#standardise();
  }

  add(x: number): Drift['test'] | undefined {
    const { windows, psiAlarm } = this.config;
    if (this.normal.length < windows) {
      this.normal.push(x);
      this.#standardise();
      return undefined;
    }
    this.now.push(x);
    if (this.now.length > windows) this.now.shift();
    const z = Math.max(-10, Math.min(10, (x - this.#mean) / this.#deviation));
    if (this.#test.add(z)) return 'page-hinkley';
    if (this.now.length < windows) return undefined;
    this.#stability ??= new Stability(this.normal);
    this.psi = this.#stability.index(this.now);
    return this.psi > psiAlarm ? 'psi' : undefined;
  }

  #standardise(): void {
    if (this.normal.length < this.config.windows) return;
    this.#mean = this.normal.reduce((a, v) => a + v, 0) / this.normal.length;
    const variance = this.normal.reduce((a, v) => a + (v - this.#mean) ** 2, 0) / this.normal.length;
    this.#deviation = Math.max(Math.sqrt(variance), 1e-9 * Math.max(1, Math.abs(this.#mean)));
  }
}

/** Says when values of the windows (a channel's mean, a model's score) are no longer what they were. */
export class DriftMonitor {
  readonly #courses = new Map<string, Course>();

  constructor(
    private readonly config: DriftConfig,
    known: Readonly<Record<string, readonly number[]>> = {},
  ) {
    for (const [what, then] of Object.entries(known)) this.#courses.set(what, new Course(config, then));
  }

  /** A drift that this value shows; what is normal is then learnt anew. */
  add(what: string, x: number): Drift | undefined {
    if (this.config.windows === 0 || !Number.isFinite(x)) return undefined;
    const course = this.#courses.get(what) ?? new Course(this.config);
    this.#courses.set(what, course);
    const test = course.add(x);
    if (!test) return undefined;
    this.#courses.set(what, new Course(this.config));
    return { what, test };
  }

  /** Of a value; undefined until there are enough windows. */
  psi(what: string): number | undefined {
    return this.#courses.get(what)?.psi;
  }

  /** A model's score is another thing with another model. */
  forget(what: string): void {
    this.#courses.delete(what);
  }

  /** What is normal, to be kept over a restart: the courses that have learnt it. */
  get known(): Record<string, readonly number[]> {
    return Object.fromEntries(
      [...this.#courses].filter(([, c]) => c.normal.length >= this.config.windows).map(([what, c]) => [what, c.normal]),
    );
  }
}
