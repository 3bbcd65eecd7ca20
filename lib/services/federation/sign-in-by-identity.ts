import mongoose, { type Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { isTollgateError, refuse } from '../../errors.js';
import { Users } from '../../models/user.js';
import { database, isDuplicate } from '../../runtime/database.js';
import type { ReadSharedOptions, RoleNames } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import type { OwnFields } from '../../runtime/user.js';
import { completeSignIn } from '../identity/complete-sign-in.js';
import { proveAddress } from '../identity/prove-address.js';
import type { FoundUser, SignedInSession } from '../sessions/start-session.js';
import type { ProvidedIdentity } from './identity-of.js';

/** Who a new user is elsewhere: what the application's own fields of them are made of. */
export interface NewPerson extends Pick<ProvidedIdentity, 'provider' | 'subject' | 'email' | 'name'> {}

/** Gives the application's own fields of a user who is made at a sign-in elsewhere. */
export type Provision = (person: NewPerson) => Partial<OwnFields> | Promise<Partial<OwnFields>>;

export interface UserByIdentity extends Origin {
  readonly connection: Connection;
  readonly identity: ProvidedIdentity;
  /** Whether somebody who has no account gets one. */
  readonly autoProvision: boolean;
  /** Default: no fields of its own. */
  readonly provision?: Provision | undefined;
  readonly roleNames: RoleNames;
}

export interface IdentitySignIn extends ReadSharedOptions, UserByIdentity {
  readonly connection: Connection;
  readonly delivery?: 'cookie' | 'body' | undefined;
}

/**
 * Signs in whoever a provider says somebody is.
 *
 * A user who has linked the identity is signed in. Else the address that the provider vouches for decides: nobody has it, and a user
 * is made; an unverified user has it, and since this is the first proof of the address, what came before it is discarded
 * (password, identities, passkeys, sessions); a verified user has it, and must link the identity while signed in.
 *
 * @throws {TollgateError} `email_unverified` (403) when the provider vouches for no address, `email_taken` (409) when a verified
 *   user has it, `credentials_invalid` (401) when the user is deactivated or may not be made, `identity_provider_unavailable` (503) when the
 *   application's own fields are required and `provision` gave none, and what `completeSignIn` throws
 */
export async function signInByIdentity(given: IdentitySignIn): Promise<SignedInSession> {
  const user = await userByIdentity(given);
  const { provedAt } = given.identity;
  return completeSignIn({ ...given, user, factors: ['oauth'], provedAt });
}

/** The user of an identity, by the same rules, without a session. */
export async function userByIdentity(given: UserByIdentity): Promise<FoundUser> {
  return userOf(given).catch((error: unknown) => {
    const raced =
      isTollgateError(error, 'email_taken') ||
      isTollgateError(error, 'token_used') ||
      isDuplicate(error, 'email') ||
      isDuplicate(error, 'identities.issuer');
    if (raced) return userOf(given); // perhaps by another sign-in of the same person just now
    throw error;
  });
}

async function userOf(given: UserByIdentity): Promise<FoundUser> {
  const { connection, identity, autoProvision } = given;
  const { issuer, subject, address } = identity;
  const users = Users(connection);
  const linked = { identities: { $elemMatch: { issuer, subject } } };
  const known = await database(() => users.findOne(linked).lean());
  if (known) return known;
  if (!address) throw refuse('email_unverified', { detail: 'The provider vouches for no e-mail address' });
  const owner = await database(() => users.findOne({ email: address.email }).lean());
  if (owner) return takeOver(given, owner, address);
  if (!autoProvision) throw refuse('credentials_invalid', { detail: 'Nobody here has linked this account' });
  return provision(given, address);
}

type Address = NonNullable<ProvidedIdentity['address']>;

const stored = ({ provider, issuer, subject, email }: ProvidedIdentity) => ({
  provider,
  issuer,
  subject,
  email,
  linkedAt: new Date(),
});

async function provision(
  { connection, identity, roleNames, provision: fieldsOf, ip, userAgent, requestId }: UserByIdentity,
  { email, verified }: Address,
): Promise<FoundUser> {
  const { provider, subject, name } = identity;
  const document = {
    ...(await fieldsOf?.({ provider, subject, email: identity.email, name })),
    email,
    emailVerified: verified,
    name: identity.name,
    roles: [roleNames.user],
    identities: [stored(identity)],
  };
  return transaction(connection, async (session) => {
    const user = await Users(connection).insertOne(document, { session });
    const target = { type: 'user', id: user.id as string };
    const details = { provider: identity.provider };
    const act = { connection, session, actor: user.id, target, details, ip, userAgent, requestId };
    await recordAudit({ ...act, action: 'user.created' });
    await recordAudit({ ...act, action: 'identity.linked' });
    return user.toObject();
  }).catch((cause: unknown) => {
    throw isIncomplete(cause) ? refuse('identity_provider_unavailable', { cause }) : cause;
  });
}

/** The application's own schema wants fields that nobody gave, or knows none of those that `provision` gave: nothing that the person can mend. */
const isIncomplete = (error: unknown): boolean =>
  error instanceof mongoose.Error.ValidationError || error instanceof mongoose.Error.StrictModeError;

/** Whoever made the account has never proved the address, so nothing of theirs stays. */
async function takeOver(
  { connection, identity, ip, userAgent, requestId }: UserByIdentity,
  owner: FoundUser,
  { verified }: Address,
): Promise<FoundUser> {
  if (owner.status === 'inactive') throw refuse('credentials_invalid');
  if (owner.emailVerified)
    throw refuse('email_taken', { detail: 'Sign in as before, and link this account then' });
  return transaction(connection, async (session) => {
    const origin = { ip, userAgent, requestId };
    await proveAddress(connection, session, { user: owner, ...origin });
    const update = { $set: { emailVerified: verified, identities: [stored(identity)] } };
    const after = { session, returnDocument: 'after' } as const;
    const user = await Users(connection).findByIdAndUpdate(owner._id, update, after).lean();
    const target = { type: 'user', id: String(owner._id) };
    const details = { provider: identity.provider, firstProof: owner.email };
    const act = { connection, session, actor: target.id, target, details, ...origin };
    await recordAudit({ ...act, action: 'identity.linked' });
    return user as FoundUser; // it was there a write ago, in this transaction
  });
}
