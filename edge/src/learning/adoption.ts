import { RecordTable } from '@ecavg/runtime';
import { z } from 'zod';

/** The model that a gateway serves after it has considered a version. */
export interface Chosen {
  readonly weights: Float32Array;
  /** Whether the new version has any part in it. */
  readonly adopted: boolean;
  /** On the local validation samples, in [0, 1]. */
  readonly accuracy: number;
  /** Part of the local model in the mixture, with the policy `blend`. */
  readonly lambda: number | undefined;
  /** Accuracy after local fine-tuning, where it was tried. */
  readonly tuned: number | undefined;
}

/** Parts of the local model that are tried. */
const LAMBDAS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

interface Means {
  accuracy(weights: Float32Array): Promise<number>;
  /** Trains a copy on the local samples; undefined where that is off, or failed. */
  tune(weights: Float32Array): Promise<Float32Array | undefined>;
}

/** A version that has come, beside the model in service. */
interface Offer {
  readonly version: Float32Array;
  /** Accuracy of the version, in [0, 1]. */
  readonly after: number;
  /** Weights of the model in service. */
  readonly mine: Float32Array;
  /** Accuracy of the model in service. */
  readonly before: number;
  /** How much accuracy the version may lose. */
  readonly tolerance: number;
}

/** What `adopt.policy` may name. */
export interface AdoptionPolicy {
  /** What it does, in Markdown, for docs. */
  readonly about: string;
  choose(offer: Offer, means: Means): Promise<Chosen>;
}

const asItCame = ({ version, after }: Offer, means: Means): Promise<Chosen> =>
  tuned({ weights: version, accuracy: after, lambda: undefined }, means);

const own = ({ mine, before }: Offer): Chosen => ({
  weights: mine,
  adopted: false,
  accuracy: before,
  lambda: undefined,
  tuned: undefined,
});

const policies = {
  always: { about: 'take every new version', choose: asItCame },
  'unless-worse': {
    about: 'keep the local model where the new one loses more than `tolerance` on the samples held back here',
    async choose(offer, means) {
      const adopted = await asItCame(offer, means);
      return adopted.accuracy >= offer.before - offer.tolerance ? adopted : { ...own(offer), tuned: adopted.tuned };
    },
  },
  blend: {
    about: 'the mixture of both that does best here',
    async choose(offer, means) {
      const mixed = await blend(offer, means);
      return mixed.lambda === 1 ? { ...own(offer), lambda: 1 } : tuned(mixed, means);
    },
  },
  keep: { about: 'serve the local model whatever comes', choose: async (offer) => own(offer) },
} satisfies Record<string, AdoptionPolicy>;

/** All adoption policies by name. */
export const ADOPTION = new RecordTable<AdoptionPolicy>('adoption policy', policies, z.never());

/**
 * What a gateway makes of a new version, by accuracy on its own validation samples: it adopts it, blends it with its own model (lambda own + (1 - lambda)
 * new, as APFL and Mansour et al. 2020, arXiv:2002.10619, section 5, mix models; here lambda is searched), or keeps its own. What was adopted may
 * be fine-tuned locally; that is taken where it does better.
 * @param after accuracy of the version; @param mine the model in service and @param before its accuracy, where there is one.
 */
export async function chooseModel(
  { policy, tolerance }: { readonly policy: string; readonly tolerance: number },
  version: Float32Array,
  after: number,
  mine: Float32Array | undefined,
  before: number | undefined,
  means: Means,
): Promise<Chosen> {
  if (!mine || before === undefined) return tuned({ weights: version, accuracy: after, lambda: undefined }, means);
  return ADOPTION.get(policy).choose({ version, after, mine, before, tolerance }, means);
}

type Candidate = Pick<Chosen, 'weights' | 'accuracy' | 'lambda'>;

/** The best mixture; of equally good ones, that with the least of the local model. */
async function blend({ version, after, mine, before }: Offer, { accuracy }: Means): Promise<Candidate> {
  let best: Candidate = { weights: version, accuracy: after, lambda: 0 };
  for (const lambda of LAMBDAS.slice(1)) {
    const weights = lambda === 1 ? mine : version.map((v, i) => v + lambda * ((mine[i] as number) - v));
    const score = lambda === 1 ? before : await accuracy(weights);
    if (score > best.accuracy) best = { weights, accuracy: score, lambda };
  }
  return best;
}

async function tuned(candidate: Candidate, { accuracy, tune }: Means): Promise<Chosen> {
  const weights = await tune(candidate.weights);
  const score = weights && (await accuracy(weights));
  const better = score !== undefined && weights !== undefined && score > candidate.accuracy;
  const final = better ? { ...candidate, weights, accuracy: score } : candidate;
  return { ...final, adopted: true, tuned: score };
}
