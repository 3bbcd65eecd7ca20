import { randomInt } from 'node:crypto';
import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
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
import { shownName, slugSchema } from './names.js';

export interface NewOrganization extends Origin {
  name: string;
  /** Lower-case letters, digits and hyphens; unique. Default: made from the name. */
  slug?: string | undefined;
  /** The id of the user who becomes its owner. */
  owner: string;
}

const own = {
  name: shownName.required(),
  slug: slugSchema,
  owner: Joi.string().required(),
  ...originFields,
};

type Created = { id: string; name: string; slug: string };

/** How often a slug of our own making is made anew. */
const mostAttempts = 5;

/**
 * Creates an organization with its first owner.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404) when the owner does not exist, `conflict` (409) when the slug is taken, `database_unavailable` (503)
 * @example const { id } = await createOrganization({ name: 'Acme', slug: 'acme', owner: user.id });
 */
export async function createOrganization(input: NewOrganization & SharedOptions): Promise<Created> {
  const given = readOptions<NewOrganization>('createOrganization', input, own);
  const connection = opened(given.connection);
  const base = given.slug ?? slugOf(given.name);
  for (let attempt = 1; ; attempt++) {
    const slug = attempt === 1 ? base : `${base}-${randomInt(1_679_616).toString(36).padStart(4, '0')}`;
    const make = (session: ClientSession) => insert(connection, session, { ...given, slug });
    try {
      return await transaction(connection, make);
    } catch (error) {
      if (!isDuplicate(error, 'slug')) throw error;
      if (given.slug !== undefined || attempt === mostAttempts)
        throw refuse('conflict', { detail: `The slug ${slug} is taken` });
    }
  }
}

/** The letters and digits of a name that a slug may have. */
const slugOf = (name: string): string =>
  name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 48)
    .replaceAll(/^-|-$/g, '') || 'organization';

async function insert(
  connection: Connection,
  session: ClientSession,
  { name, slug, owner, ip, userAgent, requestId }: NewOrganization & { slug: string },
): Promise<Created> {
  const _id = readUserId(connection, owner);
  const user = _id && (await Users(connection).noteJoin(_id, {}, session));
  if (!user) throw refuse('not_found', { detail: 'There is no user with the id of the owner' });
  const suspended = user.status === 'inactive' ? true : undefined; // is counted when they are active again
  const counters = { owners: suspended ? 0 : 1, members: 1 };
  const { _id: organization } = await Organizations(connection).insertOne(
    { name, slug, ...counters },
    { session },
  );
  const membership = { organization, user: user._id, role: 'owner', teams: [], suspended };
  await Memberships(connection).insertMany([membership], { session });
  await changed(connection, session, `user:${owner}`);
  const target = { type: 'organization', id: String(organization) };
  const entry = {
    action: 'organization.created',
    actor: owner,
    target,
    organization,
    ip,
    userAgent,
    requestId,
  };
  await recordAudit({ connection, session, ...entry });
  return { id: target.id, name, slug };
}
