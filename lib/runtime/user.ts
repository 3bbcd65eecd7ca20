import type { Types } from 'mongoose';

/**
 * The application's own fields of a user; merge into it. An `_id` here says what type the application's users have theirs of.
 *
 * @example declare module 'koa-tollgate' { interface UserFields { fullName: string } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: made to be merged into
export interface UserFields {}

/** The application's own fields that are shown and may be set. */
export type OwnFields = Omit<UserFields, '_id'>;

/** The type of users' `_id`, for references of the application's own: ObjectId, unless it has merged another into `UserFields`. */
export type UserId = UserFields extends { _id: infer Id } ? Id : Types.ObjectId;

/** A user as a client sees it, and as `ctx.state.user` holds it: frozen, for several requests share it. */
interface BaseUser {
  /** The `_id` as text. */
  readonly id: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  readonly status: 'active' | 'inactive';
  readonly createdAt: Date;
}
export type User = BaseUser & Readonly<OwnFields>;
