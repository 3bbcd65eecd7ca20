/** What one of the people does, perhaps to another: they are numbers. `codes` are what a role is to hold from then on. */
export interface Operation {
  readonly kind: Kind;
  readonly self: number;
  readonly other: number;
  readonly role: string;
  readonly codes: readonly string[];
}

export const kinds = [
  'invite',
  'accept',
  'decline',
  'revoke',
  'leave',
  'remove',
  'change',
  'transfer',
  'deactivate',
  'activate',
  'erase',
  'setSeats',
  'add',
  'saveRole',
  'deleteRole',
] as const;
export type Kind = (typeof kinds)[number];

export const people = 5;

/** What the application adds to the role of owners. */
export const extension = ['projects.*'];

const builtIn: Readonly<Record<string, readonly string[]>> = {
  owner: ['organization.*', 'billing.*', ...extension],
  admin: [
    'organization.members.manage',
    'organization.invitations.manage',
    'organization.teams.manage',
    'organization.audit.read',
    'billing.read',
  ],
  member: [],
};

/** Of the organization itself, as it begins: neither holds all that the other does, nor all that an admin does. */
export const ownRoles: Readonly<Record<string, readonly string[]>> = {
  clerk: ['organization.members.manage', 'organization.roles.manage', 'projects.read', 'projects.write'],
  scout: ['organization.members.manage', 'organization.invitations.manage', 'projects.read'],
};

export const roleNames = [...Object.keys(builtIn), ...Object.keys(ownRoles)];

/** What roles are given, and what people are tried for. */
export const codes = [
  'organization.members.manage',
  'organization.invitations.manage',
  'organization.roles.manage',
  'projects.read',
  'projects.write',
  'projects.*',
];

/** Whether somebody who holds `held` may do, or give, what `code` says. */
export const covers = (held: readonly string[], code: string): boolean =>
  held.some((one) => one === code || (one.endsWith('.*') && code.startsWith(one.slice(0, -1))));

const sorted = <T>(entries: Iterable<[number | string, T]>): Record<string, T> =>
  Object.fromEntries([...entries].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));

/** What an organization should be, by the rules of the documents alone. Each operation does what it may, and tells whether it did. */
export class Model implements Record<Kind, (operation: Operation) => boolean> {
  readonly members: Map<number, string>;
  readonly invited: Map<number, { readonly role: string; readonly by: number }>;
  readonly inactive: Set<number>;
  readonly erased: Set<number>;
  readonly roles: Map<string, readonly string[]>;
  seats: number;

  constructor(from?: Model) {
    this.members = new Map(from?.members ?? [[0, 'owner']]);
    this.invited = new Map(from?.invited);
    this.inactive = new Set(from?.inactive);
    this.erased = new Set(from?.erased);
    this.roles = new Map(from?.roles ?? Object.entries(ownRoles));
    this.seats = from?.seats ?? Number.POSITIVE_INFINITY;
  }

  play(operation: Operation): boolean {
    return this[operation.kind](operation);
  }

  invite({ self, other, role }: Operation): boolean {
    if (!this.#mayGive(self, 'organization.invitations.manage', role)) return false;
    if (this.members.has(other) || this.invited.has(other)) return false;
    if (this.members.size + this.invited.size >= this.seats) return false;
    this.invited.set(other, { role, by: self });
    return true;
  }

  accept({ self }: Operation): boolean {
    const offer = this.invited.get(self);
    if (!offer || this.erased.has(self) || this.members.size >= this.seats) return false;
    if (!this.#mayGive(offer.by, 'organization.invitations.manage', offer.role)) return false;
    this.invited.delete(self);
    this.members.set(self, offer.role);
    return true;
  }

  decline({ self }: Operation): boolean {
    return !this.erased.has(self) && this.invited.delete(self);
  }

  revoke({ self, other }: Operation): boolean {
    const offer = this.invited.get(other);
    if (!offer || !this.#mayGive(self, 'organization.invitations.manage', offer.role)) return false;
    return this.invited.delete(other);
  }

  leave({ self }: Operation): boolean {
    return !this.#isLastOwner(self) && this.members.delete(self);
  }

  remove({ self, other }: Operation): boolean {
    const held = this.members.get(other);
    if (held === undefined || !this.#mayGive(self, 'organization.members.manage', held)) return false;
    return !this.#isLastOwner(other) && this.members.delete(other);
  }

  change({ self, other, role }: Operation): boolean {
    const held = this.members.get(other);
    if (held === undefined || !this.#mayGive(self, 'organization.members.manage', held, role)) return false;
    if (held !== role && this.#isLastOwner(other)) return false;
    this.members.set(other, role);
    return true;
  }

  transfer({ self, other }: Operation): boolean {
    if (this.members.get(self) !== 'owner' || !this.members.has(other) || self === other) return false;
    if (this.#isLastOwner(self) && this.inactive.has(other)) return false;
    this.members.set(other, 'owner').set(self, 'admin');
    return true;
  }

  deactivate({ self }: Operation): boolean {
    if (this.erased.has(self) || this.inactive.has(self) || this.#isLastOwner(self)) return false;
    this.inactive.add(self);
    return true;
  }

  activate({ self }: Operation): boolean {
    this.inactive.delete(self);
    return !this.erased.has(self);
  }

  erase({ self }: Operation): boolean {
    if (this.erased.has(self) || this.#isLastOwner(self)) return false;
    this.erased.add(self);
    for (const gone of [this.members, this.invited, this.inactive]) gone.delete(self);
    return true;
  }

  setSeats({ other }: Operation): boolean {
    this.seats = other === 0 ? Number.POSITIVE_INFINITY : other;
    return true;
  }

  /** By the application, which may do anything. */
  add({ other, role }: Operation): boolean {
    const others = this.invited.size - Number(this.invited.has(other));
    if (this.erased.has(other) || this.members.has(other) || !this.#isThere(role)) return false;
    if (this.members.size + others >= this.seats) return false;
    this.invited.delete(other);
    this.members.set(other, role);
    return true;
  }

  saveRole({ self, role, codes }: Operation): boolean {
    const granted = codes.filter((code) => !covers(this.roles.get(role) ?? [], code));
    if (role in builtIn || !this.#holds(self, ['organization.roles.manage', ...granted])) return false;
    this.roles.set(role, codes);
    return true;
  }

  deleteRole({ self, role }: Operation): boolean {
    const offered = [...this.invited.values()].map((offer) => offer.role);
    const held = [...this.members.values(), ...offered].includes(role);
    return this.#holds(self, ['organization.roles.manage']) && !held && this.roles.delete(role);
  }

  /** What somebody may do now. */
  permissionsOf(who: number): readonly string[] {
    const role = this.inactive.has(who) ? undefined : this.members.get(who);
    return role === undefined ? [] : this.#permissionsIn(role);
  }

  /** What can be compared with what the database has. */
  state() {
    return {
      members: sorted(this.members),
      invited: sorted([...this.invited].map(([who, { role, by }]) => [who, `${role} by ${by}`])),
      inactive: [...this.inactive].sort(),
      erased: [...this.erased].sort(),
      roles: sorted(this.roles),
    };
  }

  #permissionsIn(role: string): readonly string[] {
    return builtIn[role] ?? this.roles.get(role) ?? [];
  }

  #holds(who: number, wanted: readonly string[]): boolean {
    const held = this.permissionsOf(who);
    return wanted.every((code) => covers(held, code));
  }

  #isThere(role: string): boolean {
    return role in builtIn || this.roles.has(role);
  }

  /** Whether somebody who may `manage` at all may give or take these roles: they hold all that is in them. */
  #mayGive(who: number, manage: string, ...roles: readonly string[]): boolean {
    const wanted = roles.flatMap((role) => this.#permissionsIn(role));
    return roles.every((role) => this.#isThere(role)) && this.#holds(who, [manage, ...wanted]);
  }

  #isLastOwner(who: number): boolean {
    const counted = [...this.members].filter(([each, role]) => role === 'owner' && !this.inactive.has(each));
    return counted.length === 1 && counted[0]?.[0] === who;
  }
}
