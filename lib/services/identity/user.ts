/**
 * The application's own fields of a user; merge into it.
 *
 * @example declare module 'koa-tollgate' { interface UserFields { fullName: string } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: made to be merged into
export interface UserFields {}

/** A user as a client sees it, and as `ctx.state.user` holds it: frozen, for several requests share it. */
interface BaseUser {
  readonly id: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  readonly status: 'active' | 'inactive';
  readonly createdAt: Date;
}
export type User = BaseUser & Readonly<UserFields>;
