// An extension of the cloud: a combiner and a weighting of our own. It needs nothing but Node.

const nearestOptions = {
  keep: { about: 'Share of the updates that count.', default: 0.5, above: 0, most: 1 },
};

/**
 * The mean of the updates with the least sum of distances to all others.
 * @type {import('@ecavg/cloud').Combiner<typeof nearestOptions>}
 */
const nearest = {
  kind: 'weighted-sum',
  about: 'mean of the `keep` share of updates that are nearest to all others',
  source: 'this example',
  options: nearestOptions,
  ownDifference: false,
  // With two, neither is nearer.
  least: () => 3,
  coefficients({ count, squaredDistance }, { options }) {
    const all = [...Array(count).keys()];
    const far = all.map((i) => all.reduce((sum, j) => sum + Math.sqrt(squaredDistance(i, j)), 0));
    const last = [...far].sort((a, b) => a - b)[Math.ceil(options.keep * count) - 1] ?? 0;
    const counted = far.filter((f) => f <= last).length;
    return far.map((f) => (f <= last ? 1 / counted : 0));
  },
};

const cappedOptions = {
  cap: { about: 'Samples beyond which a gateway counts no more.', default: 1000, above: 0 },
};

/**
 * As `samples`, but no large site outweighs all others.
 * @type {import('@ecavg/cloud').Weighting<typeof cappedOptions>}
 */
const capped = {
  about: '~ min(n_k, `cap`)',
  source: 'this example',
  options: cappedOptions,
  shares: (updates, { cap }) => updates.map((u) => Math.min(cap, u.samples)),
};

/** @type {import('@ecavg/cloud').CloudExtension} */
export const extension = { format: 1, combiners: { nearest }, weightings: { capped } };
