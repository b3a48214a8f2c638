import type { RunFigures } from './figures.js';

/** Rounds below which nothing is said of trends. */
const ENOUGH = 5;
const points = (v: number): string => `${(100 * v).toFixed(1)} points`;
const list = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');

/** What the figures speak for; each piece names the settings that it is about. */
export function adviceOf(f: RunFigures): string[] {
  const out: string[] = [];
  const n = f.rounds.length;
  if (n === 0) return ['No round has closed yet: come back when one has.'];
  if (n < ENOUGH) out.push(`${n} rounds are few: trends below may be chance. Judge after ${ENOUGH} or more.`);
  const refused = f.negative.filter((e) => e.ended === 'refused').length;
  if (f.negative.length > 0.3 * n && n >= ENOUGH)
    out.push(
      `The plain average was worse than the version before in ${f.negative.length} of ${n} rounds: the gateways' models drift apart while they train. Lower rounds.learningRate or rounds.epochs, or give strategy.weighting feddisco.`,
    );
  if (refused > 0.5 * n && n >= ENOUGH)
    out.push(
      `${refused} of ${n} rounds were refused: they cost bytes and brought nothing. Compare the gateways' data before going on.`,
    );
  const suspects = count(f.negative.flatMap((e) => e.leftOut)).filter(([, k]) => k >= 2);
  if (suspects.length > 0)
    out.push(
      `Left out by the guard more than once: ${list(suspects.map(([edge, k]) => `${edge} (${k} times)`))}. Look at the labels and sensors there.`,
    );
  const hurt = f.gateways.filter((g) => g.hurt >= 2).map((g) => g.edge);
  if (hurt.length > 0)
    out.push(
      `Hurt by several versions on their own data: ${list(hurt)}. They keep their own models where the shared one is worse; with train.localBatchNorm they keep their own normalisation, and canary.share tries a version on a few first.`,
    );
  const silent = f.gateways.filter((g) => g.asked >= 3 && g.answered < 0.5 * g.asked).map((g) => g.edge);
  if (silent.length > 0)
    out.push(
      `Answered fewer than half of the rounds: ${list(silent)}. Look at their link and hours, or lengthen rounds.deadlineSeconds.`,
    );
  if (f.end !== null && f.best !== null && f.end < f.best - 0.02)
    out.push(
      `The version in use is ${points(f.best - f.end)} below the best one: "ecavg cloud rollback" brings an earlier one back.`,
    );
  if (f.plateau >= ENOUGH)
    out.push(
      `The last ${f.plateau} rounds brought less than half a point together: rounds can come less often (rounds.intervalSeconds), or wait for drift (rounds.driftEdges).`,
    );
  const gain = f.rounds.reduce((a, r) => a + ((r.fineTuned ?? r.average ?? 0) - (r.average ?? 0)), 0) / n;
  if (gain > 0.05)
    out.push(
      `Fine-tuning in the cloud adds ${points(gain)} a round to the average: the reference samples matter here, and more of them may help.`,
    );
  if (out.length === 0) out.push('Nothing stands out: accuracy grows or holds, and no gateway is hurt or silent.');
  return out;
}

function count(names: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
