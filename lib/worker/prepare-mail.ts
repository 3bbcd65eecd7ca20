import type { Connection } from 'mongoose';
import { oneLine, unlinked } from '../mail/own-words.js';
import { Invitations, liveInvitation } from '../models/invitation.js';
import { liveToken, OneTimeTokens, type StoredOneTimeToken } from '../models/one-time-token.js';
import { Organizations } from '../models/organization.js';
import type { StoredMail } from '../models/outbox.js';
import { type StoredUser, Users } from '../models/user.js';
import { readUserId } from '../models/user-id.js';
import { database } from '../runtime/database.js';
import type { Key } from '../runtime/keyring.js';
import type { MailKind } from '../runtime/mail.js';
import { digitsOf, linkToken } from '../runtime/one-time-codes.js';

/** What a template is filled with. */
export interface MailContent {
  readonly kind: MailKind;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface PrepareOptions {
  readonly keyring: readonly Key[];
  readonly publicUrl?: string | undefined;
}

/** The page of the account pages that each link leads to. */
const pages: Partial<Record<MailKind, string>> = {
  'verify-email': 'verify-email',
  'confirm-email': 'confirm-email',
  'reset-password': 'reset-password',
  invitation: 'accept-invitation',
};

/**
 * Decides, when a mail is about to go out, what it says: requests store mails alike for known and unknown addresses, so that
 * nobody can tell them apart from outside. Null: nothing is to be sent; `ended`: nothing any more, for its token has expired or been used.
 */
export async function prepareMail(
  connection: Connection,
  mail: StoredMail,
  options: PrepareOptions,
): Promise<MailContent | 'ended' | null> {
  const { kind, to: email } = mail;
  const user = await database(() => Users(connection).findOne({ email }).lean());
  const about = {
    email,
    name: user?.emailVerified ? oneLine(user.name ?? '') : '',
    ...(mail.data as object),
  };
  if (kind === 'invitation') {
    const told = await invitationIn(connection, mail, options);
    return told && told !== 'ended' ? { kind, data: { ...about, ...told } } : told;
  }
  if (!mail.token && kind !== 'verify-email') return { kind, data: about };
  const token = await tokenFor(connection, mail, user);
  if (token === 'taken') return { kind: 'account-exists', data: about };
  if (!token || token === 'ended') return token;
  return { kind, data: { ...about, ...validity(token), ...secretOf(kind, token, options) } };
}

/** To be read, not to be judged by. */
function validity({ expiresAt }: { readonly expiresAt: Date }) {
  const minutes = Math.ceil((expiresAt.getTime() - Date.now()) / 60_000);
  return { minutes, validFor: inWords(minutes) };
}

function inWords(minutes: number): string {
  if (minutes < 120) return `${minutes} minutes`;
  return minutes <= 2_880 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 1_440)} days`;
}

type Found = StoredUser & { _id: StoredMail['_id'] };
type Token = StoredOneTimeToken & { _id: StoredMail['_id'] };

/**
 * The mail's token, as far as it may be sent: a proof of an address that is proved already is not (`taken`), and one for an
 * account is bound to the account and the epoch of its credentials, without which it cannot be redeemed. `ended`: it is not good any more; null: nobody is to have one.
 */
async function tokenFor(
  connection: Connection,
  { kind, token: _id }: StoredMail,
  user: Found | null,
): Promise<Token | 'taken' | 'ended' | null> {
  const tokens = OneTimeTokens(connection);
  const proves = kind === 'verify-email' || kind === 'confirm-email';
  if (proves && (kind === 'confirm-email' ? user : user?.emailVerified)) {
    await database(() => tokens.deleteOne({ _id }));
    return 'taken';
  }
  const proof = _id ?? (proves && user ? await proofFor(connection, user) : null);
  if (proves && !proof) return null;
  if (proves) return (await database(() => tokens.findOne({ _id: proof, ...liveToken }).lean())) ?? 'ended';
  if (!user || user.status === 'inactive') return null;
  const { _id: account, credentialEpoch } = user;
  const bound = await database(() => tokens.bind(_id as Token['_id'], account, credentialEpoch ?? 0));
  return bound ?? 'ended';
}

/** A user who never signed up (somebody made the account) has no token waiting. */
const proofFor = (connection: Connection, { email }: Found): Promise<Token['_id']> =>
  database(() => OneTimeTokens(connection).issue({ purpose: 'sign-up', email, ttl: 86_400 }));

function secretOf(kind: MailKind, { _id, purpose }: Token, { keyring, publicUrl }: PrepareOptions): object {
  if (kind === 'otp') return { code: digitsOf(purpose, _id, keyring) };
  return { link: linkTo(kind, linkToken(purpose, _id, keyring), publicUrl) };
}

const linkTo = (kind: MailKind, token: string, publicUrl: string | undefined): string =>
  `${publicUrl?.replace(/\/$/, '')}/account/${pages[kind]}?token=${token}`;

/** What an invitation's mail tells; `ended` when the invitation is gone, null when its organization is. Names are people's own words: no link of theirs becomes one of ours. */
async function invitationIn(
  connection: Connection,
  { token: _id }: StoredMail,
  { keyring, publicUrl }: PrepareOptions,
): Promise<object | 'ended' | null> {
  const invitation = await database(() =>
    Invitations(connection)
      .findOne({ _id, ...liveInvitation })
      .lean(),
  );
  if (!invitation) return 'ended';
  const [organization, inviter] = await Promise.all([
    database(() => Organizations(connection).findById(invitation.organization, { name: 1 }).lean()),
    invitation.invitedBy
      ? database(() =>
          Users(connection)
            .findById(readUserId(connection, invitation.invitedBy ?? undefined), { name: 1 })
            .lean(),
        )
      : null,
  ]);
  if (!organization) return null;
  return {
    organization: unlinked(organization.name),
    inviter: unlinked(inviter?.name ?? ''),
    link: linkTo('invitation', linkToken('invitation', invitation._id, keyring), publicUrl),
    ...validity(invitation),
  };
}
