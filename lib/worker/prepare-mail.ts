import type { Connection } from 'mongoose';
import { liveToken, OneTimeTokens, type StoredOneTimeToken } from '../models/one-time-token.js';
import type { StoredMail } from '../models/outbox.js';
import { type StoredUser, Users } from '../models/user.js';
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
};

/**
 * Decides, when a mail is about to go out, what it says: requests store mails alike for known and unknown addresses, so that
 * nobody can tell them apart from outside. Null: nothing is to be sent.
 */
export async function prepareMail(
  connection: Connection,
  mail: StoredMail,
  options: PrepareOptions,
): Promise<MailContent | null> {
  const { kind, to: email } = mail;
  const user = await database(() => Users(connection).findOne({ email }).lean());
  const about = {
    email,
    name: user?.emailVerified ? oneLine(user.name ?? '') : '',
    ...(mail.data as object),
  };
  if (!mail.token && kind !== 'verify-email') return { kind, data: about };
  const token = await tokenFor(connection, mail, user);
  if (token === 'taken') return { kind: 'account-exists', data: about };
  if (!token) return null;
  const minutes = Math.ceil((token.expiresAt.getTime() - Date.now()) / 60_000); // to be read, not to be judged by
  return { kind, data: { ...about, minutes, validFor: inWords(minutes), ...secretOf(kind, token, options) } };
}

/** Names of an older application may hold anything; a line of ours, such as a link, must not look like one. */
const oneLine = (name: string): string => name.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();

const inWords = (minutes: number): string =>
  minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;

type Found = StoredUser & { _id: StoredMail['_id'] };
type Token = StoredOneTimeToken & { _id: StoredMail['_id'] };

/**
 * The mail's token, as far as it may be sent: a proof of an address that is proved already is not (`taken`), and one for an
 * account is bound to the account and the epoch of its credentials, without which it cannot be redeemed.
 */
async function tokenFor(
  connection: Connection,
  { kind, token: _id }: StoredMail,
  user: Found | null,
): Promise<Token | 'taken' | null> {
  const tokens = OneTimeTokens(connection);
  const proves = kind === 'verify-email' || kind === 'confirm-email';
  if (proves && (kind === 'confirm-email' ? user : user?.emailVerified)) {
    await database(() => tokens.deleteOne({ _id }));
    return 'taken';
  }
  const proof = _id ?? (proves && user ? await proofFor(connection, user) : null);
  if (proves) return database(() => tokens.findOne({ _id: proof, ...liveToken }).lean());
  if (!user || user.status === 'inactive') return null;
  return database(() => tokens.bind(_id as Token['_id'], user._id, user.credentialEpoch ?? 0));
}

/** A user who never signed up (somebody made the account) has no token waiting. */
const proofFor = (connection: Connection, { email }: Found): Promise<Token['_id']> =>
  database(() => OneTimeTokens(connection).issue({ purpose: 'sign-up', email, ttl: 86_400 }));

function secretOf(kind: MailKind, { _id, purpose }: Token, { keyring, publicUrl }: PrepareOptions): object {
  if (kind === 'otp') return { code: digitsOf(purpose, _id, keyring) };
  const base = publicUrl?.replace(/\/$/, '');
  return { link: `${base}/account/${pages[kind]}?token=${linkToken(purpose, _id, keyring)}` };
}
