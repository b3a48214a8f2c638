import type { MetricsMessage } from '@ecavg/protocol';
import type { Member } from '../fleet/members.js';
import { isSimulated } from '../judging/config.js';
import type { TelemetrySink } from '../telemetry/points.js';
import type { ModelFigures } from '../telemetry/prometheus.js';
import type { Version } from '../versions/registry.js';
import type { EdgeAnswer, ModelAnswer, StateAnswer, VersionAnswer } from './schema.js';
import type { ServedModel } from './servedModel.js';

/** Versions that the state lists. */
const LISTED = 200;

export const modelAnswer = ({ config, registry, members }: ServedModel): ModelAnswer => ({
  fleet: config.fleet,
  model: config.model.id,
  version: registry.head?.version ?? 0,
  online: members.online.length,
  edges: members.all.length,
});

/** What Prometheus is told of a model. */
export const figuresOf = ({ config, registry, store, members, counters }: ServedModel): ModelFigures => {
  const { fineTunedAccuracy, averageAccuracy } = registry.head?.metrics ?? {};
  return {
    fleet: config.fleet,
    model: config.model.id,
    version: registry.head?.version,
    accuracy: fineTunedAccuracy ?? averageAccuracy,
    round: store.state?.round,
    roundOpen: store.state?.phase === 'open',
    updates: store.accepted.length,
    edges: members.all.length,
    online: members.online.length,
    pinned: registry.pinned !== null,
    messages: counters.messages,
    bytes: counters.bytes,
    rejected: { ...counters.rejected } as Record<string, number>,
  };
};

const reportAnswer = ({ event, round, version, values }: MetricsMessage) => ({
  event,
  round,
  version,
  values: { ...values },
});

export const edgeAnswer = ({ edge, online, samples, software, lastSeen, reports }: Member): EdgeAnswer => ({
  edge,
  online,
  samples,
  software,
  lastSeen,
  reports: Object.fromEntries(Object.entries(reports).map(([event, report]) => [event, reportAnswer(report)])),
});

export const versionAnswer = ({
  version,
  state,
  sha256,
  parent,
  round,
  createdAt,
  restores,
  metrics,
}: Version): VersionAnswer => ({
  version,
  state,
  sha256,
  parent,
  round,
  createdAt,
  metrics,
  ...(restores !== undefined && { restores }),
});

export function stateAnswer(of: ServedModel, telemetry: TelemetrySink['kind']): StateAnswer {
  const { config, store, members, registry, counters, classes } = of;
  const { state } = store;
  return {
    fleet: config.fleet,
    model: config.model.id,
    architecture: config.model.file ?? config.model.architecture,
    classes,
    simulatedData: isSimulated(config),
    finished: of.finished,
    connected: of.connected,
    hurtTolerance: config.canary.hurtTolerance,
    round: state ? { ...state } : null,
    accepted: store.accepted.map((a) => a.header.edge),
    members: members.all.map(edgeAnswer),
    versions: registry.versions.slice(-LISTED).map(versionAnswer),
    pinned: registry.pinned,
    wire: { ...counters, rejected: { ...counters.rejected } as Record<string, number> },
    telemetry,
  };
}
