/** The error of using a scoped model without a tenant. */
export const needsTenant = (model: string, method: string): TypeError =>
  new TypeError(
    `${model} belongs to tenants, so ${method} needs one: use ctx.state.tenant.model(${model}) in a request, ` +
      `tenantOf({ … }).model(${model}) in a job, or acrossTenants({ reason, run }) for all of them`,
  );

/** The error of asking for more than a tenant's handle gives. */
export const beyondTenant = (model: string, what: string): TypeError =>
  new TypeError(`${what} is refused for ${model}, because it could reach beyond its tenant`);

/** The error of asking for the handle of a model that has none. */
export const needsPlugin = (model: { readonly modelName?: string } | undefined): TypeError =>
  new TypeError(
    `${model?.modelName ?? 'This'} is not a model of this connection that belongs to tenants: give its schema the plugin ` +
      "tenantScoped, schema.plugin(tenantScoped, { by: 'organization' }), before the model is compiled",
  );
