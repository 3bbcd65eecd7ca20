import type { StoredRole } from '../../models/role.js';
import type { ManagementRules } from './management.js';

/** A role as a client sees it. */
export interface Role {
  readonly name: string;
  /** Permission codes; `images.*` stands for every code below `images.`. */
  readonly permissions: readonly string[];
  /** Null: the default ones, which are everything for administrators and nothing for others. An organization's roles have none. */
  readonly managementRules: ManagementRules | null;
}

export function asRole({ name, permissions, managementRules }: StoredRole): Role {
  const rules = managementRules as ManagementRules | null | undefined;
  return Object.freeze({
    name,
    permissions: Object.freeze([...permissions]),
    managementRules: rules ? Object.freeze({ ...rules }) : null,
  });
}
