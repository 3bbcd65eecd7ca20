import type { Connection, Schema, SchemaTypeOptions, Types } from 'mongoose';
import { Users } from './user.js';

const idPath = (connection: Connection) => Users(connection).schema.path('_id');

/** False where the application gives its users an `_id` of another type. */
export const hasObjectIds = (connection: Connection): boolean => idPath(connection).instance === 'ObjectId';

/**
 * The `_id` that `text` writes, of the type that the users of this connection have; null for a text that is written otherwise
 * than we write ids, which is treated like that of an unknown user: one id has one text, or what is remembered under it could not
 * be found again. 0 and the empty text are no ids.
 *
 * The compiler takes it for an ObjectId, the default. Nothing here does more with one than compare it, store it and write it as text.
 */
export function readUserId(connection: Connection, text: string | undefined): Types.ObjectId | null {
  try {
    const id: unknown = idPath(connection).cast(text);
    return id && String(id) === text ? (id as Types.ObjectId) : null;
  } catch {
    return null; // a CastError: no id of this type is written so
  }
}

/** The schema, with its path `user` of the type that the users of this connection have their `_id` of. */
export function referringToUsers<S extends Schema>(connection: Connection, schema: S): S {
  const [{ instance, options }, reference] = [idPath(connection), schema.path('user')];
  if (reference.instance === instance) return schema;
  const { type } = options as SchemaTypeOptions<unknown>;
  return schema.clone().add({ user: { ...reference.options, type } } as object) as S;
}
