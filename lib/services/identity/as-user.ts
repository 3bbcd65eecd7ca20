import type { Model, Types } from 'mongoose';
import { type StoredUser, userSchema } from '../../models/user.js';

/**
 * The application's own fields of a user; merge into it.
 *
 * @example declare module 'koa-tollgate' { interface UserFields { fullName: string } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: made to be merged into
export interface UserFields {}

/** A user as a client sees it, and as `ctx.state.user` holds it: frozen, for several requests share it. */
export interface BaseUser {
  readonly id: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  readonly status: 'active' | 'inactive';
  readonly createdAt: Date;
}
export type User = BaseUser & Readonly<UserFields>;

/** The fields that the application added to our schema, except those that it does not select by default. */
function ownFields({ schema }: Pick<Model<unknown>, 'schema'>): string[] {
  const added = Object.entries(schema.paths).filter(
    ([path, { options }]) => !(path in userSchema.paths) && options.select !== false,
  );
  return [...new Set(added.map(([path]) => path.split('.')[0] as string))];
}

/** Freezes what JSON can hold; several requests share it. */
function frozen(value: unknown): unknown {
  if (Array.isArray(value) || (value && Object.getPrototypeOf(value) === Object.prototype)) {
    for (const part of Object.values(value as object)) frozen(part);
    Object.freeze(value);
  }
  return value;
}

/** Turns a stored user into what may be shown; nothing of its credentials is in it. */
export function asUser(
  stored: StoredUser & { _id: Types.ObjectId },
  model: Pick<Model<unknown>, 'schema'>,
): User {
  const { _id, email, emailVerified, name = null, roles, status, createdAt } = stored;
  const own = Object.fromEntries(
    ownFields(model).map((field) => [field, frozen((stored as Record<string, unknown>)[field])]),
  );
  const base = {
    id: String(_id),
    email,
    emailVerified,
    name,
    roles: Object.freeze([...roles]),
    status,
    createdAt,
  };
  return Object.freeze({ ...own, ...base }) as User;
}
