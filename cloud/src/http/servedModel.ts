import type { EventLog } from '../fleet/events.js';
import type { Members } from '../fleet/members.js';
import type { InboxCounters } from '../inbox/receipts.js';
import type { RoundStore } from '../inbox/roundStore.js';
import type { ReferenceConfig } from '../judging/config.js';
import type { ControlOutcome } from '../rounds/control.js';
import type { History } from '../rounds/history.js';
import type { CanaryConfig, ModelConfig } from '../versions/config.js';
import type { Control } from '../versions/controlBox.js';
import type { Registry } from '../versions/registry.js';

/** The first model that fits; what is left out fits any. */
export const findModel = <M extends Pick<ServedModel, 'config'>>(
  models: readonly M[],
  { fleet, model }: { readonly fleet?: string | undefined; readonly model?: string | undefined },
): M | undefined =>
  models.find(
    ({ config }) => (fleet ?? config.fleet) === config.fleet && (model ?? config.model.id) === config.model.id,
  );

/** A model of the cloud, as the API and the dashboard see it: they look, and change nothing but by `control`. */
export interface ServedModel {
  readonly config: {
    readonly fleet: string;
    readonly model: ModelConfig;
    readonly data: ReferenceConfig;
    readonly canary: CanaryConfig;
  };
  /** Whether the model tells classes apart. */
  readonly classes: boolean;
  /** Whether the broker is reached. */
  readonly connected: boolean;
  /** Whether all rounds that the settings want are over. */
  readonly finished: boolean;
  readonly registry: Pick<Registry, 'versions' | 'head' | 'pinned' | 'blob'>;
  readonly store: Pick<RoundStore, 'state' | 'accepted'>;
  readonly members: Pick<Members, 'all' | 'online'>;
  readonly history: Pick<History, 'rounds' | 'receptions'>;
  readonly events: Pick<EventLog, 'after' | 'listen'>;
  readonly counters: InboxCounters;
  /** @throws ConfigError for a version that there is not, or is no longer kept. */
  control(asked: Control): Promise<ControlOutcome>;
}
