import { Schema } from 'mongoose';
import { guardModel } from './guard-model.js';
import { type AnyModel, type By, insertedBy } from './registry.js';
import { tenantFields } from './tenant-fields.js';

export interface TenantScopedOptions {
  /** Whose documents these are: an organization's, or a team's (without a team the user's own). */
  by: By;
}

/** The value of a field for a new document of the tenant that its model is bound to. */
function ownValue(field: string) {
  return function tenantDefault(this: unknown): unknown {
    const model = (this as { constructor?: object } | null | undefined)?.constructor;
    return model && insertedBy(model)?.[field];
  };
}

/**
 * Makes the documents of a schema belong to tenants. It adds the field `organization`, by team also `team` and `owner` (the user who
 * made it), which nobody can change, and an index that begins with them. From then on the model is used through
 * `ctx.state.tenant.model(Project)`, `tenantOf({ … }).model(Project)` or `acrossTenants()`; every other use of it throws before anything
 * is sent. A field `owner` that the schema has already keeps its type: that of the users' `_id`.
 *
 * @throws {TypeError} when `by` is neither organization nor team, or a field of these names is something else
 * @example projectSchema.plugin(tenantScoped, { by: 'team' });
 */
export function tenantScoped(schema: Schema, { by }: TenantScopedOptions): void {
  const fields = Object.hasOwn(tenantFields, by ?? '') ? tenantFields[by] : undefined;
  if (!fields) throw new TypeError("tenantScoped: the option by must be 'organization' or 'team'");
  for (const field of fields) addField(schema, field);
  if (by === 'organization') schema.index({ organization: 1, _id: 1 });
  else {
    schema.index({ organization: 1, team: 1, _id: 1 });
    schema.index({ organization: 1, owner: 1, _id: 1 });
  }
  guardEach(schema, by);
}

/** Mongoose tells the schema of each model that it has just compiled from it, and calls its static `init`: either is enough. */
function guardEach(schema: Schema, by: By): void {
  schema.on('init', (model: AnyModel) => guardModel(model, by));
  schema.static('init', function init(this: AnyModel) {
    guardModel(this, by);
    let above = Object.getPrototypeOf(this);
    while (above.init === init) above = Object.getPrototypeOf(above);
    return above.init.call(this);
  });
}

function addField(schema: Schema, field: string): void {
  const own = schema.path(field);
  if (own && own.instance !== 'ObjectId' && field !== 'owner')
    throw new TypeError(`tenantScoped: the field ${field} must be an ObjectId, or be left to the plugin`);
  const type = own ? (own.options as { type: unknown }).type : Schema.Types.ObjectId;
  schema.add({ [field]: { type, immutable: true, default: ownValue(field) } } as object);
}
