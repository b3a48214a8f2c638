import { ArgumentError } from '@ecavg/protocol/errors';
import { type DataSet, sampleSize, type View } from './dataset.js';

/**
 * A data set of rows in memory: `values` are `labels.length` samples of `shape`, row after row; each is a group of its own.
 * @throws RangeError where there are more or fewer values.
 */
export function rowsData(about: {
  readonly name: string;
  readonly shape: readonly number[];
  readonly classes: readonly string[];
  readonly values: Float32Array;
  readonly labels: Int32Array;
}): DataSet {
  const size = about.shape.reduce((a, d) => a * d, 1);
  if (about.values.length !== about.labels.length * size)
    throw new ArgumentError(
      'ECAVG_TRAINING_DATA',
      `${about.values.length} values are not ${about.labels.length} rows of ${size}`,
    );
  const { name, shape, classes, values, labels } = about;
  return {
    name,
    simulated: false,
    shape,
    classes,
    length: labels.length,
    labels,
    groups: Int32Array.from(labels, (_, i) => i),
    sites: undefined,
    read: (index, out, offset) => out.set(values.subarray(index * size, (index + 1) * size), offset),
  };
}

/** All samples of a data set, in its order. */
export const everything = (data: DataSet): View => ({
  data,
  indices: Int32Array.from({ length: data.length }, (_, i) => i),
});

/**
 * The samples of several views as one, one view after another. Name, shape and classes are those of the first.
 * @throws RangeError where a set has samples of another size, or another number of classes.
 */
export function joinViews(views: readonly [View, ...View[]]): View {
  const [first] = views;
  if (views.length === 1) return first;
  const size = sampleSize(first.data);
  for (const { data } of views)
    if (sampleSize(data) !== size || data.classes.length !== first.data.classes.length)
      throw new ArgumentError(
        'ECAVG_TRAINING_DATA',
        `${data.name} has other samples or classes than ${first.data.name}`,
      );
  const places = views.flatMap((view) => [...view.indices].map((index) => ({ data: view.data, index })));
  const at = (i: number): { data: DataSet; index: number } => {
    const place = places[i];
    if (!place) throw new ArgumentError('ECAVG_PROGRAM', `sample ${i} of ${places.length}`);
    return place;
  };
  return everything({
    ...first.data,
    name: views.map((v) => v.data.name).join('+'),
    length: places.length,
    labels: Int32Array.from(places, ({ data, index }) => data.labels[index] as number),
    groups: Int32Array.from(places, (_, i) => i),
    sites: undefined,
    read(i, out, offset) {
      const { data, index } = at(i);
      data.read(index, out, offset);
    },
  });
}

/**
 * The same samples with a distribution over the classes for each: targets of the loss soft-cross-entropy.
 * @param rows [samples, classes], row-major, in the order of the view's indices. @throws RangeError for another number of values.
 */
export function withTargets(view: View, rows: Float32Array): View {
  const { data, indices } = view;
  const classes = data.classes.length;
  if (rows.length !== indices.length * classes)
    throw new ArgumentError('ECAVG_TRAINING_DATA', 'a distribution for each sample is wanted');
  const place = new Map([...indices].map((index, n) => [index, n]));
  return {
    indices,
    data: {
      ...data,
      read: (index, out, offset) => data.read(index, out, offset),
      readTarget(index, out, offset) {
        const n = place.get(index);
        if (n === undefined) throw new ArgumentError('ECAVG_TRAINING_DATA', `sample ${index} has no target`);
        out.set(rows.subarray(n * classes, (n + 1) * classes), offset);
      },
    },
  };
}
