import type { SerialQueue } from '@ecavg/runtime';
import type { EventLog } from '../fleet/events.js';
import type { Control } from '../versions/controlBox.js';
import type { Registry, Version } from '../versions/registry.js';
import type { Releases } from '../versions/releases.js';

/** Which version is in force now. */
interface InForce {
  readonly version: number;
  /** The earlier version whose weights it brings back; null where it was in force already. */
  readonly weightsOf: number | null;
}

/** What came of it; who reads it in which words is not known here. */
export type ControlOutcome =
  | { readonly code: 'unpinned' }
  | ({ readonly code: 'rolled-back' } & InForce)
  | ({ readonly code: 'pinned' } & InForce)
  | ControlRefusal;

export type ControlRefusal =
  | { readonly code: 'no-earlier-version' }
  | { readonly code: 'in-force-already'; readonly version: number }
  /** The broker was not reached yet, so that there is nobody to publish to. */
  | { readonly code: 'still-starting' }
  | { readonly code: 'unknown-model'; readonly fleet: string; readonly model: string };

export interface ControlParts {
  readonly registry: Registry;
  readonly releases: Releases;
  readonly events: EventLog;
  readonly queue: SerialQueue;
  /** What was collected for an open round is given up, as its base is no longer in force. */
  readonly rounds: { cancel(): Promise<void>; advance(): void };
}

/** Rolls back, pins and lets go. */
export class VersionControl {
  readonly #actions: Readonly<Record<Control['action'], (version?: number) => Promise<ControlOutcome>>> = {
    rollback: (version) => this.#rollback(version),
    pin: (version) => this.#pin(version),
    unpin: () => this.#unpin(),
  };

  constructor(private readonly parts: ControlParts) {}

  /** @throws ConfigError for a version that there is not, or is no longer kept. */
  carryOut({ action, version }: Control): Promise<ControlOutcome> {
    return this.parts.queue.run(() => this.#actions[action](version));
  }

  async #rollback(wanted: number | undefined): Promise<ControlOutcome> {
    const { registry, rounds } = this.parts;
    const target = wanted ?? registry.previous?.version;
    if (target === undefined) return { code: 'no-earlier-version' };
    if (this.#inForce(target)) return { code: 'in-force-already', version: target };
    const { version } = await this.#restore(target);
    rounds.advance();
    return { code: 'rolled-back', version, weightsOf: target };
  }

  async #pin(wanted: number | undefined): Promise<ControlOutcome> {
    const { registry, events, rounds } = this.parts;
    const target = wanted ?? registry.head?.version;
    if (target === undefined) return { code: 'no-earlier-version' };
    const same = this.#inForce(target);
    const version = same ? (registry.head?.version ?? target) : (await this.#restore(target)).version;
    await registry.pin(version);
    events.emit('pinned', { version });
    await rounds.cancel();
    rounds.advance();
    return { code: 'pinned', version: same ? target : version, weightsOf: same ? null : target };
  }

  async #unpin(): Promise<ControlOutcome> {
    const { registry, events, rounds } = this.parts;
    await registry.pin(null);
    events.emit('pinned', { version: null });
    rounds.advance();
    return { code: 'unpinned' };
  }

  /** Whether a version's weights are in force, and no other version is on trial. */
  #inForce(number: number): boolean {
    const { registry } = this.parts;
    const wanted = registry.versions.find((v) => v.version === number);
    return wanted?.sha256 === registry.head?.sha256 && !registry.canary;
  }

  async #restore(number: number): Promise<Version> {
    const version = await this.parts.releases.restore(number);
    await this.parts.rounds.cancel();
    return version;
  }
}
