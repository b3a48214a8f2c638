import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

const MODEL = ['fleet', 'model'];

/** A model's figures now. */
export interface ModelFigures {
  readonly fleet: string;
  readonly model: string;
  readonly version: number | undefined;
  /** In [0, 1], of the version in force, on the guard's samples. */
  readonly accuracy: number | undefined;
  readonly round: number | undefined;
  readonly roundOpen: boolean;
  /** Updates accepted in the open round. */
  readonly updates: number;
  readonly edges: number;
  readonly online: number;
  readonly pinned: boolean;
  /** Update messages and their bytes since the start. */
  readonly messages: number;
  readonly bytes: number;
  /** Messages refused since the start, by reason. */
  readonly rejected: Readonly<Record<string, number>>;
}

/** What the cloud tells Prometheus: `figures` of all models are asked for when somebody looks. */
export function cloudMetrics(figures: () => readonly ModelFigures[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, value: (m: ModelFigures) => number | undefined): void => {
    new Gauge({
      name: `ecavg_cloud_${name}`,
      help,
      labelNames: MODEL,
      registers,
      collect() {
        for (const m of figures()) {
          const now = value(m);
          if (now !== undefined) this.set(labels(m), now);
        }
      },
    });
  };
  gauge('version', 'Version in force', (m) => m.version);
  gauge('accuracy', "Of the version in force, on the guard's samples, in [0, 1]", (m) => m.accuracy);
  gauge('round', 'Newest round', (m) => m.round);
  gauge('round_open', '1 while a round collects updates', (m) => (m.roundOpen ? 1 : 0));
  gauge('round_updates', 'Updates accepted in the open round', (m) => m.updates);
  gauge('edges', 'Edges that are known', (m) => m.edges);
  gauge('edges_online', 'Edges that can train now', (m) => m.online);
  gauge('pinned', '1 while a version is pinned', (m) => (m.pinned ? 1 : 0));
  const counted = (name: string, help: string, value: (m: ModelFigures) => number): void => {
    new Counter({
      name: `ecavg_cloud_${name}_total`,
      help,
      labelNames: MODEL,
      registers,
      collect() {
        this.reset();
        for (const m of figures()) this.inc(labels(m), value(m));
      },
    });
  };
  counted('update_messages', 'Update messages received', (m) => m.messages);
  counted('update_bytes', 'Bytes of update messages received', (m) => m.bytes);
  new Counter({
    name: 'ecavg_cloud_rejected_total',
    help: 'Messages rejected, by reason',
    labelNames: [...MODEL, 'reason'],
    registers,
    collect() {
      this.reset();
      for (const m of figures())
        for (const [reason, n] of Object.entries(m.rejected)) this.inc({ ...labels(m), reason }, n);
    },
  });
  return registry;
}

const labels = ({ fleet, model }: ModelFigures): { fleet: string; model: string } => ({ fleet, model });
