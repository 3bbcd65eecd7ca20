import Joi from 'joi';
import type { Middleware } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { connectionOf, strictOf } from '../runtime/connection.js';
import { idText } from '../runtime/ids.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import type { Strictness } from '../runtime/snapshot.js';
import { entitlementsOf } from '../services/plans/entitlements-of.js';
import type { Membership, Organization } from '../services/tenancy/as-organization.js';
import { membershipOf, organizationsOf } from '../services/tenancy/membership-of.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import { namedIn } from './named-in.js';

/** What `organization()` adds to `ctx.state`. */
export interface InOrganization {
  readonly organization: Organization;
  readonly membership: Membership;
}

/** What `organization({ optional: true })` adds: both are null when no organization was found. */
export type MaybeInOrganization = InOrganization | { readonly [K in keyof InOrganization]: null };

export interface OrganizationOptions extends SharedOptions {
  /** True lets a request through that names no organization. Default false. */
  optional?: boolean | undefined;
}

/**
 * Finds the organization that a request is about, and the user's membership in it: the path's `:organizationId`, else the
 * header `X-Organization-Id`, else the only organization that the user belongs to. It is never kept in the session, so two
 * tabs of a browser can work in two organizations. An API key that is for one organization acts in no other.
 *
 * Refuses with 401 `token_missing`; 400 `organization_required` when none is named and there is not just one (null with
 * `optional`); 404 `not_found` when the named one does not exist, is malformed or has no such member; 503
 * `database_unavailable`.
 *
 * @example api.get('/projects', organization(), list);
 */
export function organization(
  options: OrganizationOptions & { optional: true },
): Guard<SignedIn, MaybeInOrganization>;
export function organization(
  options?: OrganizationOptions & { optional?: false | undefined },
): Guard<SignedIn, InOrganization>;
export function organization(options: OrganizationOptions = {}): Middleware {
  const own = { optional: Joi.boolean().default(false) };
  const read = readOptions<{ optional: boolean }>('organization', options, own);

  const told: Description = {
    refuses: ['token_missing', 'not_found', ...(read.optional ? [] : ['organization_required' as const])],
    headers: ['X-Organization-Id'],
  };

  return described(told, async function organization(ctx, next) {
    const { id: userId } = signedIn(ctx);
    const connection = connectionOf(ctx, read.connection);
    const strict = strictOf(ctx, read.strict);
    const named = namedIn(ctx, 'organizationId', 'X-Organization-Id');
    const bound = ctx.state.apiKey?.organizationId; // such a key acts nowhere else
    if (bound && named && idText(named) !== bound) throw refuse('not_found');
    const organizationId = bound ?? named ?? (await onlyOne(connection, userId, strict));
    if (organizationId === undefined && !read.optional) {
      throw refuse('organization_required', { detail: 'Name one in the header X-Organization-Id' });
    }
    const found =
      organizationId === undefined ? nowhere : await stateOf(connection, { userId, organizationId, strict });
    Object.assign(ctx.state, found);
    await next();
  });
}

const nowhere: MaybeInOrganization = Object.freeze({ organization: null, membership: null });

async function onlyOne(
  connection: Connection,
  userId: string,
  strict: Strictness,
): Promise<string | undefined> {
  const [first, second] = await organizationsOf(connection, { userId, strict });
  return second === undefined ? first : undefined;
}

async function stateOf(
  connection: Connection,
  which: { userId: string; organizationId: string; strict: Strictness },
): Promise<InOrganization> {
  const { organization, membership } = await membershipOf(connection, which);
  const subject = { type: 'organization', id: organization.id } as const;
  const { plan } = await entitlementsOf({ connection, subject, strict: which.strict });
  return { organization: { ...organization, role: membership.role, plan: plan?.code ?? null }, membership };
}
