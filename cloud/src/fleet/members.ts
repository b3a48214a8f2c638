import type { MetricsMessage, StatusMessage } from '@ecavg/protocol';

/** What the cloud knows of an edge. */
export interface Member {
  readonly edge: string;
  online: boolean;
  /** When the edge's current session began (its clock): orders a late last will against a rebirth. */
  session: number;
  samples: number;
  software: string;
  lastSeen: number;
  /** Newest report of each kind. */
  reports: Partial<Record<MetricsMessage['event'], MetricsMessage>>;
}

/** The fleet's edges, from their retained status messages and last wills. */
export class Members {
  readonly #members = new Map<string, Member>();

  /** Returns the member, or undefined where the message is older than what is known. */
  status(message: StatusMessage): Member | undefined {
    const known = this.#members.get(message.edge);
    if (known && message.session < known.session) return undefined;
    const { edge, online, session, samples, software } = message;
    const member = { edge, online, session, samples, software, lastSeen: Date.now(), reports: known?.reports ?? {} };
    this.#members.set(edge, member);
    return member;
  }

  report(message: MetricsMessage): void {
    const member = this.#members.get(message.edge);
    if (!member) return;
    member.lastSeen = Date.now();
    member.reports[message.event] = message;
  }

  /** What edges say of a version: one report each. */
  reportsOn(version: number): MetricsMessage[] {
    return this.all.flatMap(({ reports: { adopted, kept } }) => {
      const report = [adopted, kept].find((r) => r?.version === version);
      return report ? [report] : [];
    });
  }

  /** Those that can train: online, and with samples. */
  get online(): string[] {
    return this.all.filter((m) => m.online && m.samples > 0).map((m) => m.edge);
  }

  get all(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.edge < b.edge ? -1 : 1));
  }

  knows(edge: string): boolean {
    return this.#members.has(edge);
  }

  isOnline(edge: string): boolean {
    return this.#members.get(edge)?.online === true;
  }
}
