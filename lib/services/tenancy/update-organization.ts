import Joi from 'joi';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { changed } from '../../models/revocation.js';
import { isDuplicate } from '../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Act, actFields, inOrganization } from './in-organization.js';
import { requireTeams } from './members/hold-teams.js';
import { shownName, slugSchema } from './names.js';
import { asDetails, type OrganizationDetails } from './organization-details.js';
import { requireRights } from './require-rights.js';

export interface OrganizationUpdate extends Act {
  name?: string | undefined;
  /** Lower-case letters, digits and hyphens; unique. */
  slug?: string | undefined;
  /** The team that every new member joins, and that is their current one then; null: none. */
  defaultTeamId?: string | null | undefined;
}

/** What a client may change. */
export const organizationFields = {
  name: shownName,
  slug: slugSchema,
  defaultTeamId: Joi.string().max(100).allow(null),
};

/**
 * Changes the name, the slug or the default team of an organization; gives it as it is then.
 *
 * @throws {TollgateError} `not_found` (404) for an unknown organization or team; `conflict` (409) when the slug is taken; `permission_missing`
 *   (403) when `actor` lacks `organization.manage`; `overloaded`, `database_unavailable` (503)
 * @example await updateOrganization({ organizationId: acme.id, name: 'Acme & Sons' });
 */
export async function updateOrganization(
  input: OrganizationUpdate & SharedOptions,
): Promise<OrganizationDetails> {
  const given = readOptions<OrganizationUpdate>('updateOrganization', input, {
    ...actFields,
    ...organizationFields,
  });
  const { name, slug, defaultTeamId } = given;
  return inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    await requireRights(acting, ['organization.manage']);
    const [defaultTeam = null] = defaultTeamId ? await requireTeams(acting, [defaultTeamId]) : [];
    const given = { name, slug, defaultTeam: defaultTeamId === undefined ? undefined : defaultTeam };
    const $set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const updated = await Organizations(connection)
      .findOneAndUpdate({ _id: organization }, { $set }, { session, returnDocument: 'after' })
      .lean();
    if (!updated) throw refuse('not_found');
    await changed(connection, session, `organization:${organization}`);
    const target = { type: 'organization', id: String(organization) };
    await acting.record('organization.updated', target, { fields: Object.keys($set) });
    return asDetails(updated);
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'slug') ? refuse('conflict', { detail: `The slug ${slug} is taken` }) : error;
  });
}
