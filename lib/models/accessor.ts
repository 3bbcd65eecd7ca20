import mongoose, { type Connection, type Model, type Schema } from 'mongoose';

/** Marks a schema as made from ours, also after `schema.clone().add(…)`: a clone keeps its plugins. */
function madeByTollgate(): void {}

/**
 * What every schema of ours has in common; said once a schema, before it is compiled. Whatever the connection's own
 * defaults are, what we decide by is read from the primary, and what we acknowledge is on a majority.
 */
export function tollgateSchema(schema: Schema): void {
  schema.plugin(madeByTollgate);
  schema.set('read', 'primary');
  schema.set('writeConcern', { w: 'majority' });
}

/**
 * Reaches a model by connection: the one that the application compiled from our schema under this name, else ours.
 *
 * @throws {TypeError} when the application has a model of this name that is not made from our schema, or that refers to users by
 *   another type than their `_id` has
 */
export const accessor =
  <M>(name: string, compile: (connection: Connection) => M) =>
  (connection: Connection = mongoose.connection): M => {
    const existing = connection.models[name];
    if (!existing) return compile(connection);
    const { plugins } = existing.schema as unknown as { plugins: readonly { fn: unknown }[] }; // public, but untyped
    if (plugins.some(({ fn }) => fn === madeByTollgate)) {
      refuseOtherReference(connection, existing);
      return existing as M;
    }
    throw new TypeError(
      `The model ${name} on this connection is not made from koa-tollgate's schema; compile it from ` +
        `${name.charAt(0).toLowerCase()}${name.slice(1)}Schema.clone().add({ … }) before its first use, or rename it`,
    );
  };

/** Users whose `_id` is of another type would not be found by it. */
function refuseOtherReference({ models }: Connection, { modelName, schema }: Model<unknown>): void {
  const [reference, id] = [schema.path('user'), models.User?.schema.path('_id')];
  if (!id || reference?.options.ref !== 'User' || reference.instance === id.instance) return;
  throw new TypeError(
    `The model ${modelName} on this connection refers to users by ${reference.instance}, but their _id is ${id.instance}; ` +
      "compile it with a path user of that type, { type: …, ref: 'User', required: true }",
  );
}
