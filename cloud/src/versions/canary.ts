import { Random } from '@ecavg/models';
import type { MetricsMessage } from '@ecavg/protocol';
import type { CanaryConfig } from './config.js';

/** What the edges' reports on a version come to. Changes are of accuracy on each edge's own validation samples, against the version before. */
export interface Reception {
  readonly reports: number;
  /** Mean change over the edges that reported; 0 where none did. */
  readonly meanChange: number;
  readonly worstChange: number;
  /** Edges that lost more than `canary.hurtTolerance`. */
  readonly hurt: readonly string[];
  /** Accuracy of the version before and of this one, by edge. */
  readonly edges: readonly { readonly edge: string; readonly before: number; readonly after: number }[];
}

/** The change that an edge reports: the new version against the one before, both measured there. */
export function changeOf({ values }: Pick<MetricsMessage, 'values'>): number | undefined {
  const { valAfter, valPrevious } = values;
  return valAfter === undefined || valPrevious === undefined ? undefined : valAfter - valPrevious;
}

export function receptionOf(
  reports: readonly Pick<MetricsMessage, 'edge' | 'values'>[],
  { hurtTolerance }: CanaryConfig,
): Reception {
  const changes = reports.flatMap((r) => {
    const change = changeOf(r);
    const { valPrevious = 0, valAfter = 0 } = r.values;
    return change === undefined ? [] : [{ edge: r.edge, change, before: valPrevious, after: valAfter }];
  });
  const all = changes.map((c) => c.change);
  return {
    reports: changes.length,
    meanChange: all.reduce((a, c) => a + c, 0) / Math.max(1, all.length),
    worstChange: all.length > 0 ? Math.min(...all) : 0,
    hurt: changes.filter((c) => c.change < -hurtTolerance).map((c) => c.edge),
    edges: changes.map(({ edge, before, after }) => ({ edge, before, after })),
  };
}

/** Why a version on trial is withdrawn. */
export type Objection =
  | { readonly code: 'too-few-reports'; readonly reports: number; readonly needed: number }
  /** `meanChange` is below 0. */
  | { readonly code: 'edges-lost'; readonly meanChange: number; readonly tolerance: number }
  | { readonly code: 'edges-hurt'; readonly hurt: readonly string[]; readonly reports: number };

/** What stands against a version on trial; undefined where it may go to everybody. */
export function objection(
  { reports, meanChange, hurt }: Reception,
  { tolerance, maxHurt, minReports }: CanaryConfig,
): Objection | undefined {
  if (reports < minReports) return { code: 'too-few-reports', reports, needed: minReports };
  if (meanChange < -tolerance) return { code: 'edges-lost', meanChange, tolerance };
  if (hurt.length > maxHurt * reports) return { code: 'edges-hurt', hurt, reports };
  return undefined;
}

/** The edges that try a version first: the wanted share of those online, at least one, drawn anew for each version. */
export function drawCanaries(online: readonly string[], share: number, version: number): string[] {
  const count = Math.min(online.length, Math.max(1, Math.round(share * online.length)));
  const order = new Random(version, 'canary').shuffle(Int32Array.from(online, (_, i) => i));
  return [...order.subarray(0, count)].map((i) => online[i] as string).sort();
}
