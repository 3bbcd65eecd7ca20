import { type Model, Types } from 'mongoose';
import { type StoredUser, userSchema } from '../../models/user.js';
import type { User } from '../../runtime/user.js';

type AnyModel = Pick<Model<unknown>, 'schema'>;

/** The application's own fields, without the paths that its schema does not select by default. */
function ownFields(stored: object, { schema }: AnyModel): Record<string, unknown> {
  const keptByMongoose = [schema.get('versionKey'), schema.get('discriminatorKey')];
  const added = Object.keys(schema.paths).filter(
    (path) => !(path in userSchema.paths) && !keptByMongoose.includes(path),
  );
  const hidden = new Set(added.filter((path) => schema.paths[path]?.options.select === false));
  const fields = new Set(added.map((path) => path.split('.')[0] as string));
  const own = Object.entries(stored).filter(([field]) => fields.has(field) && !hidden.has(field));
  return Object.fromEntries(own.map(([field, value]) => [field, visible(value, field, hidden)]));
}

/** A frozen copy of what JSON can hold, without the hidden paths; anything else, such as a Date, as it is. */
function visible(value: unknown, path: string, hidden: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map((item) => visible(item, path, hidden)));
  if (!value || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const shown = Object.entries(value).filter(([key]) => !hidden.has(`${path}.${key}`));
  return Object.freeze(
    Object.fromEntries(shown.map(([key, part]) => [key, visible(part, `${path}.${key}`, hidden)])),
  );
}

/** An ObjectId tells when it was made; where neither that nor a date says so, it was at the beginning of time. */
const bornBy = (id: object): Date => (id instanceof Types.ObjectId ? id.getTimestamp() : new Date(0));

/**
 * Turns a stored user into what may be shown; nothing of its credentials is in it. Users of an older application may lack
 * what our schema has a default for.
 */
export function asUser(stored: StoredUser & { _id: Types.ObjectId }, model: AnyModel): User {
  const { _id, email, emailVerified = false, name = null, roles = [], status = 'active' } = stored;
  const createdAt = stored.createdAt ?? bornBy(_id);
  const base = {
    id: String(_id),
    email,
    emailVerified,
    name,
    roles: Object.freeze([...roles]),
    status,
    createdAt,
  };
  return Object.freeze({ ...ownFields(stored, model), ...base }) as User;
}
