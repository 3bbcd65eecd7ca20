import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import { recordAudit } from '../../audit/record-audit.js';
import { isTollgateError, refuse } from '../../errors.js';
import type { MailOptions } from '../../mail/enqueue-mail.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { changed } from '../../models/revocation.js';
import { credentialPaths, Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import type { RoleNames } from '../../runtime/options.js';
import { perConnection } from '../../runtime/per-connection.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import { transaction } from '../../runtime/transaction.js';
import type { User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import { canonicalEmail } from '../identity/canonical-email.js';
import type { FoundUser } from '../sessions/start-session.js';
import type { ProvidedIdentity } from './identity-of.js';
import { elsewhere } from './link-identity.js';
import { userByIdentity } from './sign-in-by-identity.js';
import type { VerifiedMember } from './stytch-session.js';

/** How the users of members are found and made. */
export interface StytchRules extends ReadStytchOptions, MailOptions {
  readonly strict: boolean;
  readonly roleNames: RoleNames;
}

const ids = perConnection(() => new LRUCache<string, string>({ max: 50_000, ttl: 3_600_000 }));
const users = freshCache<{ readonly user: User | null }>(50_000);
const hidden = Object.fromEntries(credentialPaths.map((path) => [path, 0]));

/**
 * The user of a Stytch member: by the identity `stytch:<project>` and the member's id, remembered until the user changes; a
 * member who has none is given one, by the rules of every identity (see `signInByIdentity`).
 *
 * @throws {TollgateError} `user_inactive` (403); for a new member `email_unverified` (403), `email_taken` (409) when the
 *   address is a user's, `token_invalid` (401) without `autoProvision`; `database_unavailable` (503)
 */
export async function stytchUser(
  connection: Connection,
  member: VerifiedMember,
  { strict, ...stytch }: StytchRules,
): Promise<User> {
  const identity = asIdentity(member, stytch);
  const key = `${identity.issuer} ${identity.subject}`;
  const byId = async (id: string) => {
    const load = () => read(connection, id, identity);
    return (await users(connection).get(`${id} ${key}`, [`user:${id}`], load, strict)).user;
  };
  const known = ids(connection).get(key);
  const remembered = known === undefined ? null : await byId(known);
  const id = remembered?.id ?? (await find(connection, identity, stytch));
  ids(connection).set(key, id);
  const user = remembered ?? (await byId(id));
  if (!user) throw refuse('token_invalid'); // unlinked just now
  if (user.status === 'inactive') throw refuse('user_inactive');
  return user;
}

function asIdentity(
  { session, emailVerified, ...member }: VerifiedMember,
  { projectId }: ReadStytchOptions,
): ProvidedIdentity {
  const email = canonicalEmail(member.email);
  return {
    provider: 'stytch',
    issuer: `stytch:${projectId}`,
    subject: session.memberId,
    email,
    name: member.name,
    address: email !== null && emailVerified ? { email, verified: true } : null,
  };
}

const having = ({ issuer, subject }: ProvidedIdentity) => ({ $elemMatch: { issuer, subject } });

async function read(connection: Connection, id: string, identity: ProvidedIdentity) {
  const model = Users(connection);
  const judged = { _id: readUserId(connection, id), identities: having(identity) };
  const found = await model.findOne(judged, hidden).lean<FoundUser>();
  return Object.freeze({ user: found && asUser(found, model) });
}

/** The id of the user who has the identity, or gets it now. */
async function find(
  connection: Connection,
  identity: ProvidedIdentity,
  { autoProvision, linkByEmail, roleNames, ...mail }: Omit<StytchRules, 'strict'>,
): Promise<string> {
  try {
    return String((await userByIdentity({ connection, identity, autoProvision, roleNames }))._id);
  } catch (error) {
    if (linkByEmail && isTollgateError(error, 'email_taken')) return link(connection, identity, mail);
    if (!isTollgateError(error, 'credentials_invalid')) throw error;
    throw refuse('token_invalid', { detail: 'This member has no user here' });
  }
}

/** Adds the identity to the user who has proved the same address. */
async function link(connection: Connection, identity: ProvidedIdentity, mail: MailOptions): Promise<string> {
  const { address, name: _, ...said } = identity;
  const judged = {
    email: address?.email as string,
    emailVerified: true,
    status: { $ne: 'inactive' as const },
  };
  const linked = { $push: { identities: { ...said, linkedAt: new Date() } } };
  return transaction(connection, async (session) => {
    const absent = { ...judged, identities: { $not: having(identity) } };
    const user = await Users(connection).findOneAndUpdate(absent, linked, { session }).lean();
    if (!user) throw refuse('email_taken');
    const id = String(user._id);
    const target = { type: 'user', id };
    const details = { provider: 'stytch' };
    await recordAudit({ connection, session, action: 'identity.linked', actor: id, target, details });
    const notice = { to: user.email, change: 'added', credential: elsewhere('stytch') } as const;
    await notifyCredential(connection, session, notice, mail);
    await changed(connection, session, `user:${id}`);
    return id;
  });
}
