/** What the roles hold that every organization has; nobody can change or delete them. */
const builtIn: ReadonlyMap<string, readonly string[]> = new Map([
  ['owner', ['organization.*', 'billing.*']],
  [
    'admin',
    [
      'organization.members.manage',
      'organization.invitations.manage',
      'organization.teams.manage',
      'organization.audit.read',
      'billing.read',
    ],
  ],
  ['member', []],
]);

/** Whether every organization has a role of that name, so that none can make its own. */
export const isBuiltIn = (name: string): boolean => builtIn.has(name);

/** The permissions of a built-in role, or none. */
export const builtInPermissions = (name: string): readonly string[] => builtIn.get(name) ?? [];

/** The names of the built-in roles, the mightiest first. */
export const builtInNames: readonly string[] = [...builtIn.keys()];

/** The global role by which an application adds its own codes to a built-in one, in every organization: `organization.owner`. */
export const extensionOf = (name: string): string => `organization.${name}`;

const extensions: ReadonlySet<string> = new Set(builtInNames.map(extensionOf));

/** Whether a global role is such an addition, which no user can have by itself. */
export const isExtension = (name: string): boolean => extensions.has(name);
