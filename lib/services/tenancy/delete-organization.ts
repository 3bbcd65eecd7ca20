import { refuse } from '../../errors.js';
import { Deletions } from '../../models/deletion.js';
import { Organizations } from '../../models/organization.js';
import { changed } from '../../models/revocation.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { clearDeletedSoon } from './clear-deleted.js';
import { type Act, actFields, inOrganization } from './in-organization.js';
import { requireRights } from './require-rights.js';

/**
 * Deletes an organization: at once it is gone for everybody, and its slug is free. What belonged to it (memberships, teams, invitations, roles, its
 * members' API keys for it, plans and usage) is deleted right after; what a big organization has left after a second, or a crash, `cleanUp()` ends. The audit
 * log stays, and so does the application's own data.
 *
 * @throws {TollgateError} `not_found` (404); `permission_missing` (403) when `actor` lacks `organization.manage`; `overloaded`,
 *   `database_unavailable` (503)
 * @example await deleteOrganization({ organizationId: acme.id });
 */
export async function deleteOrganization(input: Act & SharedOptions): Promise<void> {
  const given = readOptions<Act>('deleteOrganization', input, actFields);
  const connection = await inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    await requireRights(acting, ['organization.manage']);
    const deleted = await Organizations(connection)
      .findOneAndDelete({ _id: organization }, { session })
      .lean();
    if (!deleted) throw refuse('not_found');
    await Deletions(connection).insertMany([{ organization, at: new Date() }], { session });
    await changed(connection, session, `organization:${organization}`);
    const { name, slug } = deleted;
    const target = { type: 'organization', id: String(organization) };
    await acting.record('organization.deleted', target, { name, slug });
    return connection;
  });
  await clearDeletedSoon(connection);
}
