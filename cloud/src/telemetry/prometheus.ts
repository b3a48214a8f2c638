import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { FleetModel } from '../fleetModel.js';

const MODEL = ['fleet', 'model'];

/** What the cloud tells Prometheus: read from the models when it is asked. */
export function cloudMetrics(models: readonly FleetModel[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, value: (m: FleetModel) => number | undefined): void => {
    new Gauge({
      name: `ecavg_cloud_${name}`,
      help,
      labelNames: MODEL,
      registers,
      collect() {
        for (const m of models) {
          const now = value(m);
          if (now !== undefined) this.set(labels(m), now);
        }
      },
    });
  };
  gauge('version', 'Version in force', (m) => m.registry.head?.version);
  gauge('accuracy', "Of the version in force, on the guard's samples, in [0, 1]", ({ registry }) => {
    const { fineTunedAccuracy, averageAccuracy } = registry.head?.metrics ?? {};
    return fineTunedAccuracy ?? averageAccuracy;
  });
  gauge('round', 'Newest round', (m) => m.store.state?.round);
  gauge('round_open', '1 while a round collects updates', (m) => (m.store.state?.phase === 'open' ? 1 : 0));
  gauge('round_updates', 'Updates accepted in the open round', (m) => m.store.accepted.length);
  gauge('edges', 'Edges that are known', (m) => m.members.all.length);
  gauge('edges_online', 'Edges that can train now', (m) => m.members.online.length);
  gauge('pinned', '1 while a version is pinned', (m) => (m.registry.pinned === null ? 0 : 1));
  const counted = (name: string, help: string, value: (m: FleetModel) => number): void => {
    new Counter({
      name: `ecavg_cloud_${name}_total`,
      help,
      labelNames: MODEL,
      registers,
      collect() {
        this.reset();
        for (const m of models) this.inc(labels(m), value(m));
      },
    });
  };
  counted('update_messages', 'Update messages received', (m) => m.inbox.counters.messages);
  counted('update_bytes', 'Bytes of update messages received', (m) => m.inbox.counters.bytes);
  new Counter({
    name: 'ecavg_cloud_rejected_total',
    help: 'Messages rejected, by reason',
    labelNames: [...MODEL, 'reason'],
    registers,
    collect() {
      this.reset();
      for (const m of models)
        for (const [reason, n] of Object.entries(m.inbox.counters.rejected)) this.inc({ ...labels(m), reason }, n);
    },
  });
  return registry;
}

const labels = ({ config }: FleetModel): { fleet: string; model: string } => ({
  fleet: config.fleet,
  model: config.model.id,
});
