/** An organization as its member sees it. */
export interface Organization {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  /** The member's role in it. */
  readonly role: string;
  /** The code of its plan; null when the application has no plans. */
  readonly plan: string | null;
}

/** What a member is in an organization. */
export interface Membership {
  readonly role: string;
  readonly teamIds: readonly string[];
  readonly currentTeamId: string | null;
}

export interface Team {
  readonly id: string;
  readonly name: string;
}
