import type { ParameterizedContext } from 'koa';
import type { SignedIn } from '../../middleware/authenticate.js';
import { composedOf } from '../../middleware/described.js';
import type { Guard } from '../../middleware/guard.js';
import { requireScope } from '../../middleware/require-scope.js';
import { requireReach } from '../../middleware/subject-of.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { managementScope } from '../../services/roles/management.js';
import { asked } from '../answers.js';

/** What every service of an administrator is told: what all are, who acts, and what their API key restricts them to. */
export const byActor = (ctx: ParameterizedContext<SignedIn>, shared: ReadSharedOptions) => ({
  ...asked(ctx, shared),
  actor: ctx.state.user.id,
  scopes: ctx.state.apiKey?.scopes,
});

/**
 * Lets whoever is signed in through to what management rules decide; of API keys those that are not for one organization, and have the scope
 * `admin.users.manage` or none.
 */
export function byRules(): Guard<SignedIn> {
  const scoped = requireScope(managementScope);

  const reaching: Guard<SignedIn> = function byRules(ctx, next) {
    requireReach(ctx, { type: 'user', id: ctx.state.user.id });
    return scoped(ctx, next);
  };
  return composedOf(reaching, [scoped]);
}
