/** What clients of a role may do. Patterns are MQTT filters; `{fleet}` and `{user}` stand for the user's own. */
export interface Role {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const BASE = 'ecavg/v1/{fleet}';
const MINE = `${BASE}/edge/{user}`;

/**
 * The roles that are there without being written: an edge writes only its own topics and reads models, rounds and its
 * own receipts; a sensor reads models and results and writes below its own name and requests for inference; a monitor
 * reads a fleet; an admin may do everything.
 */
export const ROLES: Readonly<Record<string, Role>> = {
  edge: {
    publish: [
      `${MINE}/status`,
      `${MINE}/metrics`,
      `${MINE}/enrol`,
      `${MINE}/update/+`,
      `${MINE}/share/+`,
      `${MINE}/infer/+/+`,
    ],
    subscribe: [`${BASE}/model/#`, `${MINE}/receipt/+`, `${MINE}/infer/+/+`, `${BASE}/sensor/#`],
  },
  sensor: {
    publish: [`${BASE}/sensor/{user}/#`, `${BASE}/edge/+/infer/+/request`],
    subscribe: [`${BASE}/model/#`, `${BASE}/edge/+/infer/+/result`, `${BASE}/sensor/{user}/#`],
  },
  cloud: {
    publish: [`${BASE}/model/#`, `${BASE}/edge/+/receipt/+`],
    subscribe: [`${BASE}/#`, '$SYS/#'],
  },
  monitor: { publish: [], subscribe: [`${BASE}/#`, '$SYS/#'] },
  admin: { publish: ['#', '$SYS/#'], subscribe: ['#', '$SYS/#'] },
};

const TOPIC_SAFE = /^[^+#/\0]+$/;

/** A role's patterns with the user's fleet and name in place; a name that could widen a pattern gets no rights at all. */
export function rightsOf(role: Role, { fleet, user }: { readonly fleet: string; readonly user: string }): Role {
  if (!TOPIC_SAFE.test(user) || (fleet !== '*' && !TOPIC_SAFE.test(fleet))) return { publish: [], subscribe: [] };
  // A user of all fleets: one level, whatever it is.
  const fill = (p: string): string => p.replaceAll('{fleet}', fleet === '*' ? '+' : fleet).replaceAll('{user}', user);
  return { publish: role.publish.map(fill), subscribe: role.subscribe.map(fill) };
}

/** Whether everything that `filter` can match is matched by `pattern`; topics are filters without wildcards. */
export function covers(pattern: string, filter: string): boolean {
  const [allowed, wanted] = [pattern.split('/'), filter.split('/')];
  // A wildcard in the first level does not reach topics that begin with $ (MQTT 3.1.1, 4.7.2).
  if (filter.startsWith('$') && !pattern.startsWith('$')) return false;
  for (const [i, level] of allowed.entries()) {
    if (level === '#') return true;
    const other = wanted[i];
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  // "a/#" also stands for "a" itself, which "a" covers but "a/+" does not.
  return wanted.length === allowed.length;
}

export const mayPublish = ({ publish }: Role, topic: string): boolean => publish.some((p) => covers(p, topic));

export function maySubscribe({ subscribe }: Role, filter: string): boolean {
  // A shared subscription is one to its filter.
  const plain = /^\$share\/[^/]+\/(.+)$/.exec(filter)?.[1] ?? filter;
  return subscribe.some((p) => covers(p, plain));
}
