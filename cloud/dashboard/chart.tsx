import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Words } from './text.js';

export interface Series {
  readonly label: string;
  /** A colour of the style sheet, `--name`. */
  readonly colour: string;
  readonly kind: 'line' | 'points' | 'bars';
  readonly values: readonly (number | null)[];
}

interface Props {
  readonly x: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  /** Lowest and highest value shown; undefined: as the values are. */
  readonly range?: readonly [number, number];
  /** What it shows, in words. */
  readonly label: string;
}

interface CardProps extends Omit<Props, 'label'> {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** What the table has, where it has more than the chart. */
  readonly table?: readonly Series[];
  readonly words: Words;
}

const HEIGHT = 230;

/** A section with a chart over rounds, and its figures as a table for those who can't see it. */
export function ChartCard({ id, title, text, table, words, ...chart }: CardProps) {
  if (chart.x.length === 0) return null;
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <p class="muted">{text}</p>
      <Chart {...chart} label={text} />
      <ChartTable {...chart} series={table ?? chart.series} words={words} />
    </section>
  );
}

function Chart({ x, series, format, range, label }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const dark = useDark();
  useEffect(() => {
    const at = host.current;
    if (!at || x.length === 0) return undefined;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    const font = `13px ${getComputedStyle(document.body).fontFamily}`;
    const first = x[0] as number;
    const last = x.at(-1) as number;
    const plot = new uPlot(
      {
        width: at.clientWidth,
        height: HEIGHT,
        cursor: { show: false },
        legend: { show: false },
        scales: {
          x: { time: false, range: () => [first - 0.5, Math.max(last, first + 1) + 0.5] },
          y: { range: range ? () => [range[0], range[1]] : (_plot, _low, high) => [0, high > 0 ? 1.1 * high : 1] },
        },
        axes: [
          {
            ...axis,
            font,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
            values: (_p, v) => v.map((n) => (Number.isInteger(n) ? String(n) : '')),
          },
          { ...axis, font, size: 70, values: (_p, v) => v.map(format) },
        ],
        series: [
          {},
          ...series.map((s) => ({
            label: s.label,
            stroke: colour(s.colour),
            width: s.kind === 'line' ? 3 : 0,
            ...(s.kind === 'bars' && { fill: colour(s.colour) }),
            ...(s.kind === 'bars' && uPlot.paths.bars ? { paths: uPlot.paths.bars({ size: [0.6, 60] }) } : {}),
            ...(s.kind === 'points' && { paths: () => null }),
            points: { show: s.kind !== 'bars', size: s.kind === 'points' ? 9 : 7, fill: colour(s.colour) },
          })),
        ],
      },
      [[...x], ...series.map((s) => [...s.values])],
      at,
    );
    const resize = new ResizeObserver(() => plot.setSize({ width: at.clientWidth, height: HEIGHT }));
    resize.observe(at);
    return () => {
      resize.disconnect();
      plot.destroy();
    };
  }, [x, series, format, range, dark]);
  return (
    <figure>
      <ul class="legend" aria-hidden="true">
        {series.map((s) => (
          <li key={s.label} class={`swatch ${s.colour.slice(2)} ${s.kind}`}>
            {s.label}
          </li>
        ))}
      </ul>
      <div class="chart" ref={host} role="img" aria-label={label} />
    </figure>
  );
}

/** Charts are drawn anew when the system changes between light and dark. */
function useDark(): boolean {
  const [query] = useState(() => window.matchMedia('(prefers-color-scheme: dark)'));
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const changed = (): void => setDark(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, [query]);
  return dark;
}

interface TableProps extends Pick<Props, 'x' | 'series' | 'format'> {
  readonly words: Words;
}

function ChartTable({ x, series, format, words }: TableProps) {
  return (
    <details>
      <summary>{words.asTable}</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">{words.round}</th>
              {series.map((s) => (
                <th scope="col" key={s.label}>
                  {s.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {x.map((at, i) => (
              <tr key={at}>
                <th scope="row">{at}</th>
                {series.map((s) => {
                  const value = s.values[i];
                  return <td key={s.label}>{value === null || value === undefined ? '–' : format(value)}</td>;
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
