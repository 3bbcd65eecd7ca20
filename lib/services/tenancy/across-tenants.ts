import Joi from 'joi';
import { recordAudit } from '../../audit/record-audit.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import type { TenantModel } from '../../tenancy/tenant-handle.js';
import { type CompiledModel, handles } from '../../tenancy/tenant-of.js';

/** The application's data of all tenants, for as long as `run` runs. */
export interface AllTenants {
  model<M extends CompiledModel>(model: M): TenantModel<M>;
}

export interface AcrossTenants<T> {
  /** Why, for whoever reads the audit log. */
  readonly reason: string;
  /** Its handles end with it. */
  readonly run: (all: AllTenants) => T | PromiseLike<T>;
  /** The id of the user who acts; none: the system. */
  readonly actor?: string | undefined;
}

const own = {
  reason: Joi.string().trim().min(1).max(500).required(),
  run: Joi.function().required(),
  actor: Joi.string(),
};

/**
 * Runs `run` with handles that have the documents of every tenant: for migrations, statistics, support. An audit entry
 * `tenants.crossed` with the reason is written before; when it cannot be, nothing runs. When `run` has ended its handles throw.
 *
 * A new document must name its organization. References are not checked, and neither `populate` nor `$lookup` reach users.
 *
 * @returns what `run` gives
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const open = await acrossTenants({ reason: 'monthly report', run: (all) => all.model(Project).countDocuments({ done: false }) });
 */
export async function acrossTenants<T>(input: AcrossTenants<T> & SharedOptions): Promise<T> {
  const {
    reason,
    run,
    actor,
    connection: given,
  } = readOptions<AcrossTenants<T>>('acrossTenants', input, own);
  const connection = opened(given);
  await recordAudit({ connection, action: 'tenants.crossed', actor, details: { reason } });
  let over = false;
  const check = () => {
    if (over) throw new TypeError('This handle was for the duration of acrossTenants(), which is over');
  };
  const boundsOf = () => ({ filter: {}, inserted: {} });
  const model = handles({ connection, organization: null, boundsOf, check, bound: new Map() });
  try {
    return await run(Object.freeze({ model }));
  } finally {
    over = true;
  }
}
