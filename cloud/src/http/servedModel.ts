import type { EventLog } from '../fleet/events.js';
import type { Members } from '../fleet/members.js';
import type { RoundStore } from '../inbox/roundStore.js';
import type { InboxCounters } from '../inbox/updates.js';
import type { ReferenceConfig } from '../judging/config.js';
import type { History } from '../rounds/history.js';
import type { CanaryConfig, ModelConfig } from '../versions/config.js';
import type { Registry } from '../versions/registry.js';

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
}
