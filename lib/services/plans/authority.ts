import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';

/** Who does something to plans, and who says whether they may. */
export interface Authority<Context = unknown> extends Origin {
  /**
   * Asked once, before anything is written: what is not true, and what it throws, refuses. Without it whoever can call the function
   * may do it.
   */
  authorize?: ((context: Context) => boolean | Promise<boolean>) | undefined;
  /** What `authorize` is called with. */
  context?: Context | undefined;
  /** The id of who does it, for the audit log. Default: nobody. */
  actor?: string | undefined;
}

export const authorityFields = {
  authorize: Joi.function(),
  context: Joi.any(),
  actor: Joi.string(),
  ...originFields,
};

/**
 * Asks the application.
 *
 * @throws {TollgateError} `permission_missing` (403), with what was thrown as its cause
 */
export async function requireAuthority({ authorize, context }: Authority): Promise<void> {
  if (!authorize) return;
  let cause: unknown;
  const allowed = await Promise.resolve()
    .then(() => authorize(context))
    .catch((error: unknown) => {
      cause = error;
      return false;
    });
  if (allowed !== true) throw refuse('permission_missing', { detail: 'You may not do this', cause });
}

/** What an audit entry says of who did it, and from where. */
export const byWhom = ({ actor, ip, userAgent, requestId }: Authority) => ({
  actor,
  ip,
  userAgent,
  requestId,
});
