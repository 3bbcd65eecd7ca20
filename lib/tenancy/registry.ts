import type { Connection, Model, mongo } from 'mongoose';

export type Plain = Record<string, unknown>;
export type AnyModel = Model<Plain>;
export type RawCollection = mongo.Collection<Plain>;

/** Whose documents a schema's are. */
export type By = 'organization' | 'team';

/** What a scoped model was compiled with, before it was guarded. It never leaves this folder. */
export interface Raw {
  readonly connection: Connection;
  readonly collection: RawCollection;
  readonly by: By;
}

const raws = new WeakMap<object, Raw>();
const inserted = new WeakMap<object, Plain>();

/** Keeps what a scoped model was compiled with. */
export const keepRaw = (model: object, raw: Raw): void => void raws.set(model, raw);

/** What a scoped model was compiled with; undefined for any other model, and for one that is bound to a tenant. */
export const rawOf = (model: object): Raw | undefined => raws.get(model);

/** Notes the values that new documents of a bound model have in the tenant fields. */
export const keepInserted = (bound: object, values: Plain): void => void inserted.set(bound, values);

/** The values that new documents have in the tenant fields; undefined for a model that is not bound to a tenant. */
export const insertedBy = (model: object): Plain | undefined => inserted.get(model);
