import { type Artifact, type Slice, sliceModel } from '@ecavg/models';
import { ProtocolError } from '@ecavg/protocol';
import { takesSlices } from '../aggregation/chosen.js';
import { COMBINERS } from '../aggregation/combiners.js';

/** The narrower models that weak gateways train, by width; made when the first update of a width comes. */
export class Slices {
  readonly #known = new Map<number, Slice>();
  constructor(
    private readonly artifact: Artifact,
    /** Name of the combiner, which decides whether updates of a part of the model can be combined. */
    private readonly combiner: string,
  ) {}

  /** @throws `layout-mismatch` where this cloud takes no update of that width. */
  async of(width: number): Promise<Slice> {
    const known = this.#known.get(width);
    if (known) return known;
    const { combiner } = this;
    if (!takesSlices(combiner)) {
      const others = COMBINERS.names.filter(takesSlices).map((name) => `"${name}"`);
      const does = `${others.join(', ')} ${others.length > 1 ? 'do' : 'does'}`;
      throw new ProtocolError('layout-mismatch', `combiner ${combiner} takes no slices (train.width); ${does}`);
    }
    const { model, layout, info } = this.artifact;
    try {
      const slice = await sliceModel(model, layout, info.input.shape.slice(1), width);
      this.#known.set(width, slice);
      return slice;
    } catch (cause) {
      throw new ProtocolError('layout-mismatch', `width ${width}: ${(cause as Error).message}`, { cause });
    }
  }
}
