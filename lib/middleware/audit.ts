import type { DefaultContext, ParameterizedContext } from 'koa';
import { type AuditTarget, recordAudit } from '../audit/record-audit.js';
import { connectionOf } from '../runtime/connection.js';
import { objectId } from '../runtime/ids.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import type { MaybeSignedIn } from './authenticate.js';
import type { Guard } from './guard.js';
import type { MaybeInOrganization } from './organization.js';
import { originOf } from './origin-of.js';

/** What a route says of an act beside who did it and from where. */
export interface Audited {
  readonly target?: AuditTarget | undefined;
  /** As JSON; no secrets. Erased with the user. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

export type AuditOptions = SharedOptions;

/**
 * Writes an entry into the audit log when the handler has succeeded: neither thrown nor answered 400 or more. The actor is the user whom
 * `authenticate()` found, the organization the one of `organization()`; `about` is called after the handler, and may read `ctx.body`.
 *
 * What the handler wrote is done by then: where neither may stand without the other, call `recordAudit()` in its transaction instead.
 *
 * Refuses with 503 `database_unavailable` when the entry cannot be written.
 *
 * @example router.delete('/projects/:id', audit('project.deleted', (ctx) => ({ target: { type: 'project', id: ctx.params.id } })), remove);
 */
export function audit<Needs = {}>(
  action: string,
  about: (ctx: ParameterizedContext<Needs, DefaultContext>) => Audited = () => ({}),
  options: AuditOptions = {},
): Guard<Needs> {
  if (!/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$/.test(action))
    throw new TypeError("audit(): name the act by subject and past participle: audit('project.deleted')");
  const read = readOptions('audit', options);

  return async function audit(ctx, next) {
    const connection = connectionOf(ctx, read.connection);
    await next();
    if (ctx.status >= 400) return;
    const { user, organization } = ctx.state as Partial<MaybeSignedIn & MaybeInOrganization>;
    const { target, details } = about(ctx);
    await recordAudit({
      ...originOf(ctx, read),
      connection,
      action,
      actor: user?.id,
      target,
      organization: objectId(organization?.id) ?? undefined,
      details,
    });
  };
}
