import Table from 'cli-table3';
import logUpdate from 'log-update';
import pc from 'picocolors';
import { formatBytes } from '../bytes.js';
import { percent, roundText, type Tracker } from './tracker.js';

/** Shows progress: redrawn in place on a terminal, a line an event elsewhere. */
export interface Display {
  note(text: string): void;
  event(line: string | undefined, tracker: Tracker): void;
  end(): void;
}

export function createDisplay(out: NodeJS.WriteStream): Display {
  if (!out.isTTY) {
    return {
      note: (text) => void out.write(`${text}\n`),
      event: (line) => void (line && out.write(`${line}\n`)),
      end: () => undefined,
    };
  }
  return {
    note: (text) => void out.write(`${text}\n`),
    event: (_line, tracker) => logUpdate(frame(tracker)),
    end: () => logUpdate.done(),
  };
}

function frame(tracker: Tracker): string {
  const wide = Math.max(...tracker.edges.map((e) => e.name.length));
  const states: Record<string, (s: string) => string> = {
    training: pc.yellow,
    'update sent': pc.cyan,
    updated: pc.green,
    offline: pc.red,
  };
  const edges = tracker.edges.map((e) => {
    const paint = states[e.state] ?? pc.dim;
    const change = `${percent(e.trained).padStart(7)} -> ${percent(e.serving).padStart(7)}`;
    return `  ${e.name.padEnd(wide)}  ${paint(e.state.padEnd(12))}  ${change}  ${formatBytes(e.bytesUp).padStart(9)} up`;
  });
  const rounds = tracker.rounds.map(
    (r) => `  ${r.decision === 'kept-previous' ? pc.yellow(roundText(r)) : roundText(r)}`,
  );
  const head = tracker.round
    ? `round ${tracker.round}: trained here -> in service, test accuracy`
    : 'waiting for the gateways';
  return [pc.bold(head), ...edges, ...rounds].join('\n');
}

/** The closing table: one row a gateway, edge before / server / edge after. */
export function summaryTable(tracker: Tracker, server: number | undefined): string {
  const table = new Table({
    head: ['gateway', 'samples', 'edge before', 'server', 'edge after', 'change'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const e of tracker.edges) {
    const change = e.before === undefined || e.serving === undefined ? '-' : signed(e.serving - e.before);
    const after = `${percent(e.serving)}${e.kept ? ' (own *)' : ''}`;
    table.push([e.name, String(e.samples), percent(e.before), percent(server), after, change]);
  }
  const [before, after] = [mean(tracker.edges.map((e) => e.before)), mean(tracker.edges.map((e) => e.serving))];
  table.push([
    'mean',
    '',
    percent(before),
    percent(server),
    percent(after),
    before && after ? signed(after - before) : '-',
  ]);
  const note = tracker.edges.some((e) => e.kept)
    ? "\n* the new version was worse on this gateway's own validation samples, so it kept the model it trained"
    : '';
  return table.toString() + note;
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : ''}${(100 * value).toFixed(1)}`;
}

/** Mean of the values that are there; undefined where none is. */
export function mean(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((v) => v !== undefined);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : undefined;
}
