/** An API key as `ctx.state.apiKey` holds it, and as a client sees it: never the key itself, nor its hash. Frozen. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** The first characters of the key: enough to recognize it by. */
  readonly prefix: string;
  /** Permission codes that it is restricted to; an empty list restricts nothing. */
  readonly scopes: readonly string[];
  /** The only organization that it acts in; null: wherever its user is a member. */
  readonly organizationId: string | null;
  /** Addresses and networks that it may be used from; an empty list: from anywhere. */
  readonly allowedIps: readonly string[];
  readonly expiresAt: Date | null;
  /** Null: its uses are not counted. */
  readonly usesLeft: number | null;
  /** Accurate to a minute. */
  readonly lastUsedAt: Date | null;
  /** The id of the key that took its place. */
  readonly replacedBy: string | null;
  readonly deletedAt: Date | null;
  readonly createdAt: Date;
}
