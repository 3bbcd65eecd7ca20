import type { Model } from 'mongoose';
import type { AnyModel } from './registry.js';

/** The methods of a model that its handle has. */
export const handleMethods = [
  'aggregate',
  'bulkSave',
  'bulkWrite',
  'countDocuments',
  'create',
  'deleteMany',
  'deleteOne',
  'distinct',
  'exists',
  'find',
  'findById',
  'findByIdAndDelete',
  'findByIdAndUpdate',
  'findOne',
  'findOneAndDelete',
  'findOneAndReplace',
  'findOneAndUpdate',
  'hydrate',
  'insertMany',
  'insertOne',
  'populate',
  'replaceOne',
  'updateMany',
  'updateOne',
  'validate',
  'where',
] as const;

type HandleMethod = (typeof handleMethods)[number];

/** The application's own statics; inside them `this` is the model bound to the tenant. */
type OwnStatics<M> = Pick<M, Exclude<keyof M, keyof Model<unknown>>>;

/** A model as a tenant has it: its methods with their own types, and nothing by which another tenant's documents could be reached. */
export type TenantModel<M> = Readonly<Pick<M, HandleMethod & keyof M> & OwnStatics<M>>;

/** The handle of a bound model. */
export function handleOf<M>(bound: AnyModel): TenantModel<M> {
  const own = Object.keys((bound.schema as unknown as { statics: object }).statics).filter(
    (name) => name !== 'init',
  );
  const methods = bound as unknown as Record<string, (...args: unknown[]) => unknown>;
  const names = [...handleMethods, ...own.filter((name) => typeof methods[name] === 'function')];
  const handle = names.map((name) => [name, (...args: unknown[]) => methods[name]?.(...args)]);
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(handle)));
}
