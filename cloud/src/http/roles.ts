/** viewer: sees everything. operator: also rolls back, pins and lets go. */
export const ROLES = ['viewer', 'operator'] as const;
export type Role = (typeof ROLES)[number];

export const mayAct = (has: Role | undefined, needs: Role): boolean =>
  has !== undefined && ROLES.indexOf(has) >= ROLES.indexOf(needs);
