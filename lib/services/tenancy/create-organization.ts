import Joi from 'joi';
import { recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Memberships } from '../../models/membership.js';
import { Organizations } from '../../models/organization.js';
import { changed } from '../../models/revocation.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { isDuplicate } from '../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';

export interface NewOrganization {
  name: string;
  /** Lower-case letters, digits and hyphens; unique. */
  slug: string;
  /** The id of the user who becomes its owner. */
  owner: string;
}

const own = {
  name: Joi.string().min(1).max(100).required(),
  slug: Joi.string()
    .pattern(/^[a-z0-9]+(-[a-z0-9]+)*$/)
    .max(64)
    .required()
    .messages({
      'string.pattern.base': 'must be lower-case letters and digits, with single hyphens between them',
    }),
  owner: Joi.string().required(),
};

/**
 * Creates an organization with its first owner.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404) when the owner does not exist, `conflict` (409) when the slug is taken, `database_unavailable` (503)
 * @example const { id } = await createOrganization({ name: 'Acme', slug: 'acme', owner: user.id });
 */
export async function createOrganization(
  input: NewOrganization & SharedOptions,
): Promise<{ id: string; name: string; slug: string }> {
  const { name, slug, owner, ...given } = readOptions<NewOrganization>('createOrganization', input, own);
  const connection = opened(given.connection);
  const user = readUserId(connection, owner);
  const id = await transaction(connection, async (session) => {
    const exists = user && (await Users(connection).exists({ _id: user }).session(session));
    if (!exists) throw refuse('not_found', { detail: 'There is no user with the id of the owner' });
    const created = await Organizations(connection).insertOne(
      { name, slug, owners: 1, members: 1 },
      { session },
    );
    const organization = created._id;
    await Memberships(connection).insertMany([{ organization, user, role: 'owner', teams: [] }], { session });
    await changed(connection, session, `user:${owner}`);
    const target = { type: 'organization', id: String(organization) };
    await recordAudit({
      connection,
      session,
      action: 'organization.created',
      actor: owner,
      target,
      organization,
    });
    return String(organization);
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'slug') ? refuse('conflict', { detail: `The slug ${slug} is taken` }) : error;
  });
  return { id, name, slug };
}
