import { ArgumentError } from '@ecavg/protocol/errors';
/**
 * Linear assignment by shortest augmenting paths with potentials (Kuhn and Munkres; Jonker and Volgenant 1987): which column each row
 * takes so that the gains sum to the most. O(n^3) time, O(n) memory beyond the matrix.
 * @param gain n x n, row-major, finite.
 * @returns `columns[row]`, a permutation.
 * @throws ArgumentError where `gain` has not n x n values.
 */
export function assign(gain: Float64Array, n: number): Int32Array {
  if (gain.length !== n * n)
    throw new ArgumentError('ECAVG_DATA_FILE', `${gain.length} gains for ${n} rows and columns`);
  // Rows and columns count from 1; 0 is the row that is being placed.
  const rowPotential = new Float64Array(n + 1);
  const columnPotential = new Float64Array(n + 1);
  const rowOf = new Int32Array(n + 1);
  const before = new Int32Array(n + 1);
  const slack = new Float64Array(n + 1);
  const done = new Uint8Array(n + 1);
  for (let row = 1; row <= n; row++) {
    rowOf[0] = row;
    slack.fill(Number.POSITIVE_INFINITY);
    done.fill(0);
    let column = 0;
    do {
      done[column] = 1;
      const r = rowOf[column] as number;
      let [delta, next] = [Number.POSITIVE_INFINITY, 0];
      const base = (r - 1) * n - 1;
      const shift = rowPotential[r] as number;
      for (let c = 1; c <= n; c++) {
        if (done[c]) continue;
        const reduced = -(gain[base + c] as number) - shift - (columnPotential[c] as number);
        if (reduced < (slack[c] as number)) {
          slack[c] = reduced;
          before[c] = column;
        }
        if ((slack[c] as number) < delta) {
          delta = slack[c] as number;
          next = c;
        }
      }
      for (let c = 0; c <= n; c++) {
        if (done[c]) {
          const owner = rowOf[c] as number;
          rowPotential[owner] = (rowPotential[owner] as number) + delta;
          columnPotential[c] = (columnPotential[c] as number) - delta;
        } else slack[c] = (slack[c] as number) - delta;
      }
      column = next;
    } while (rowOf[column] !== 0);
    while (column !== 0) {
      const previous = before[column] as number;
      rowOf[column] = rowOf[previous] as number;
      column = previous;
    }
  }
  const columns = new Int32Array(n);
  for (let c = 1; c <= n; c++) columns[(rowOf[c] as number) - 1] = c - 1;
  return columns;
}
