import type { MetricsMessage } from '@ecavg/protocol';
import type { Member } from '../fleet/members.js';
import type { FleetModel } from '../fleetModel.js';
import { isSimulated } from '../judging/config.js';
import type { TelemetrySink } from '../telemetry/points.js';
import type { Version } from '../versions/registry.js';
import type { EdgeAnswer, ModelAnswer, StateAnswer, VersionAnswer } from './schema.js';

/** Versions that the state lists. */
const LISTED = 200;

export const modelAnswer = ({ config, registry, members }: FleetModel): ModelAnswer => ({
  fleet: config.fleet,
  model: config.model.id,
  version: registry.head?.version ?? 0,
  online: members.online.length,
  edges: members.all.length,
});

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

export function stateAnswer(of: FleetModel, telemetry: TelemetrySink['kind']): StateAnswer {
  const { config, rounds, store, members, registry, inbox, classes } = of;
  const { state } = store;
  return {
    fleet: config.fleet,
    model: config.model.id,
    architecture: config.model.file ?? config.model.architecture,
    classes,
    simulatedData: isSimulated(config),
    finished: rounds.finished,
    connected: of.connected,
    hurtTolerance: config.canary.hurtTolerance,
    round: state ? { ...state } : null,
    accepted: store.accepted.map((a) => a.header.edge),
    members: members.all.map(edgeAnswer),
    versions: registry.versions.slice(-LISTED).map(versionAnswer),
    pinned: registry.pinned,
    wire: { ...inbox.counters, rejected: { ...inbox.counters.rejected } as Record<string, number> },
    telemetry,
  };
}
