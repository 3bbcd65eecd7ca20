import compose from 'koa-compose';
import type { SignedIn } from '../../middleware/authenticate.js';
import { signedIn } from '../../middleware/authenticate.js';
import { type Description, described } from '../../middleware/described.js';
import type { Guard } from '../../middleware/guard.js';
import { type InOrganization, organization } from '../../middleware/organization.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireReach } from '../../middleware/subject-of.js';
import type { Subject } from '../../runtime/subject.js';

/** What `payer()` adds to `ctx.state`. */
export interface WithPayer {
  readonly payer: Subject;
}

/**
 * Says whom a billing route is about: the organization that `X-Organization-Id` names, where its user needs `permission`; else the user, also
 * where there is but one organization.
 *
 * Refuses with 401 `token_missing`, 404 `not_found`, 403 `permission_missing`.
 */
export function payer(permission: string): Guard<SignedIn, WithPayer> {
  const inOrganization = compose([organization(), requirePermission(permission)] as never[]);

  const told: Description = {
    refuses: ['token_missing', 'not_found', 'permission_missing'],
    headers: ['X-Organization-Id'],
  };

  return described(told, async function payer(ctx, next) {
    const { id } = signedIn(ctx);
    const pay = async (subject: Subject) => {
      requireReach(ctx, subject);
      Object.assign(ctx.state, { payer: subject });
      await next();
    };
    if (ctx.get('X-Organization-Id') === '') return pay({ type: 'user', id });
    const named = () =>
      pay({ type: 'organization', id: (ctx.state as never as InOrganization).organization.id });
    await inOrganization(ctx as never, named);
  });
}
