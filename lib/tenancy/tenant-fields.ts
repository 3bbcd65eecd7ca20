import type { By } from './registry.js';

/** The fields by which documents of a scoped model belong to somebody. */
export const tenantFields = {
  organization: ['organization'],
  team: ['organization', 'team', 'owner'],
} as const satisfies Record<By, readonly string[]>;
