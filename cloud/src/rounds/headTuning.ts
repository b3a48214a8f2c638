import type { Logger } from '@ecavg/runtime';
import type { EventLog } from '../fleet/events.js';
import type { Members } from '../fleet/members.js';
import type { ShareStore } from '../inbox/shareStore.js';
import type { Aggregator } from '../judging/aggregator.js';
import type { HeadTuner } from '../judging/headTuner.js';
import type { ReferenceSet } from '../judging/reference.js';
import type { Registry } from '../versions/registry.js';
import type { Releases } from '../versions/releases.js';

export interface HeadTuningParts {
  readonly config: { readonly rounds: { readonly settleSeconds: number }; readonly model: { readonly seed: number } };
  readonly headTuner: HeadTuner;
  readonly given: ShareStore;
  readonly registry: Registry;
  readonly members: Members;
  readonly releases: Releases;
  readonly reference: ReferenceSet;
  readonly aggregator: Aggregator;
  readonly events: EventLog;
  readonly log: Logger;
}

/** After a round's version is out: tunes its head on the activations that edges share of it, once. */
export class HeadTuning {
  /** The last version whose head was tuned, whether that made it better or not. */
  #looked = 0;

  constructor(private readonly parts: HeadTuningParts) {}

  /** How long to wait for edges that are about to share, ms; 0 where nothing is waited for. */
  async wait(): Promise<number> {
    const { registry, members, given, config } = this.parts;
    const head = this.#due();
    if (!head) return 0;
    const edges = await given.edges('features', head.sha256);
    const owing = members.reportsOn(head.version).filter((r) => r.values.sharesFeatures && !edges.includes(r.edge));
    const settle = config.rounds.settleSeconds * 1000;
    const left = Math.min((registry.head?.createdAt ?? 0) + settle - Date.now(), settle);
    return owing.length > 0 ? Math.max(0, left) : 0;
  }

  /** True where it made a version. */
  async run(): Promise<boolean> {
    const { headTuner, given, releases, reference, events, log, config, aggregator } = this.parts;
    const head = this.#due();
    if (!head) return false;
    this.#looked = head.version;
    const edges = await given.edges('features', head.sha256);
    const [first, ...others] = await given.views('features', edges);
    if (!first) return false;
    const { weights } = releases.current;
    const before = await reference.evaluate(weights);
    const tuned = await headTuner.tune(weights, [first, ...others], config.model.seed + head.round);
    const after = tuned && (await reference.evaluate(tuned));
    const better = after !== undefined && after.accuracy > before.accuracy;
    const figures = { version: head.version, edges, before: before.accuracy, after: after?.accuracy ?? null, better };
    log.info(figures, 'tuned the head on shared activations');
    events.emit('calibrated', figures);
    if (!better || !tuned) return false;
    await releases.release({
      round: head.round,
      weights: tuned,
      score: after,
      metrics: { previousAccuracy: before.accuracy, calibrated: edges.length },
      moments: await aggregator.state(head.sha256),
    });
    return true;
  }

  /** The version in force, where it came from a round and was not looked at yet. */
  #due() {
    const { head } = this.parts.registry;
    const made = head && head.round > 0 && head.metrics.calibrated === undefined && head.restores === undefined;
    return made && head.version !== this.#looked ? head : undefined;
  }
}
