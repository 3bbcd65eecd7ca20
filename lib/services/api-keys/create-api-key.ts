import Joi from 'joi';
import { type ClientSession, type Connection, Types } from 'mongoose';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { type ApiKeyIssue, ApiKeys } from '../../models/api-key.js';
import { Memberships } from '../../models/membership.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { canonicalNetwork } from '../../runtime/networks.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { turnstile } from '../../runtime/turnstile.js';
import { permissionCode } from '../roles/permission-code.js';
import { requireLiveSession } from '../sessions/require-live-session.js';
import { readMembership } from '../tenancy/membership-of.js';
import { makeApiKey } from './api-key-text.js';
import { asApiKey, type ShownApiKey } from './as-api-key.js';

export interface NewApiKey extends Origin {
  /** The id of the user for whom it acts. */
  userId: string;
  /** The session in which the user asks for it; it must still live. Without it the application asks. */
  sessionId?: string | undefined;
  name: string;
  /** Permission codes, such as `images.write` or `images.*`, that the key is restricted to. Default: none, no restriction. */
  scopes?: readonly string[] | undefined;
  /** The id of the only organization that it acts in; its user must be a member. Default: wherever the user is one. */
  organizationId?: string | undefined;
  /** Addresses and networks (CIDR), IPv4 and IPv6, that it may be used from. Default: anywhere. */
  allowedIps?: readonly string[] | undefined;
  /** Default: never. */
  expiresAt?: Date | undefined;
  /** How many requests it is good for. Default: any number. */
  uses?: number | undefined;
}

/** More than anybody has programs. */
const most = 100;

const network = Joi.string()
  .max(50)
  .custom((text: string, helpers) => {
    const message = { custom: 'must be an IPv4 or IPv6 address, or a network such as 192.0.2.0/24' };
    return canonicalNetwork(text) ?? helpers.message(message);
  });

/** What a client may say of a new key, beside its name. */
export const apiKeyFields = {
  scopes: Joi.array().items(permissionCode).max(100) as Joi.ArraySchema<string[]>,
  organizationId: Joi.string().max(100),
  allowedIps: Joi.array().items(network).max(100) as Joi.ArraySchema<string[]>,
  uses: Joi.number().integer().min(1).max(1_000_000_000),
};
export const apiKeyName = Joi.string().max(100);

const own = {
  ...apiKeyFields,
  userId: Joi.string().required(),
  sessionId: Joi.string(),
  name: apiKeyName.required(),
  expiresAt: Joi.date(),
  ...originFields,
};

/**
 * Makes an API key that acts for a user. Its rights are those that the user has whenever it is used, and no more than its
 * `scopes`, its organization and its addresses leave of them.
 *
 * @returns the key as its owner sees it, with `key`: it is shown this once, for only its hash is stored
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404) when the user does not exist, or is no member of the organization;
 *   `validation_failed` (400) when `expiresAt` is past by the database's clock; `session_revoked` (401) when `sessionId` has ended;
 *   `conflict` (409) when the user has 100 live keys; `overloaded`, `database_unavailable` (503)
 * @example const { key } = await createApiKey({ userId: user.id, name: 'nightly build', scopes: ['images.write'] });
 */
export async function createApiKey(input: NewApiKey & SharedOptions): Promise<ShownApiKey> {
  const given = readOptions<NewApiKey>('createApiKey', input, own);
  const { userId, organizationId, name, scopes = [], allowedIps = [], expiresAt = null, uses = null } = given;
  const connection = opened(given.connection);
  const [user, organization] = [readUserId(connection, userId), objectId(organizationId)];
  if (!user || (organizationId !== undefined && !organization)) throw refuse('not_found');
  const make = async (session: ClientSession) => {
    await requireIssuer(connection, session, { user, sessionId: given.sessionId });
    if (organization) await requireMember(connection, session, { user, organization });
    const limits = { scopes: [...new Set(scopes)], allowedIps: [...new Set(allowedIps)], expiresAt };
    const created = await issueKey(connection, session, {
      user,
      organization,
      name,
      ...limits,
      usesLeft: uses,
    });
    if (expiresAt && expiresAt <= created.createdAt) throw past();
    const { id, prefix } = created;
    const { ip, userAgent, requestId } = given;
    await recordAudit({
      connection,
      session,
      action: 'api-key.created',
      actor: userId,
      target: { type: 'api-key', id },
      ...(organization && { organization }),
      details: { name, prefix },
      ip,
      userAgent,
      requestId,
    });
    return created;
  };
  return turnstile(connection).soon(`api-keys of ${user}`, () => transaction(connection, make));
}

const past = () =>
  refuse('validation_failed', { errors: [{ path: 'expiresAt', message: 'must be in the future' }] });

/** The write to the membership makes it conflict with the end of that, which deletes the keys that it sees. */
async function requireMember(
  connection: Connection,
  session: ClientSession,
  which: { readonly user: Types.ObjectId; readonly organization: Types.ObjectId },
): Promise<void> {
  const { _id } = await readMembership(connection, which, session);
  await Memberships(connection).noteApiKeys([_id], session);
}

/**
 * Lets one maker of a user's keys through at a time, for the rest of the transaction: so `issueKey()` may count them.
 *
 * @throws {TollgateError} `session_revoked` (401) unless the session that asks still lives; `not_found` (404) for an unknown user
 */
export async function requireIssuer(
  connection: Connection,
  session: ClientSession,
  { user, sessionId }: { readonly user: Types.ObjectId; readonly sessionId?: string | undefined },
): Promise<void> {
  const epoch =
    sessionId === undefined ? undefined : await requireLiveSession(connection, session, { user, sessionId });
  const noted = await Users(connection).noteApiKey(user, epoch, session);
  if (noted.matchedCount === 0) throw refuse(sessionId === undefined ? 'not_found' : 'session_revoked');
}

/**
 * Makes the text of a key, and stores what is kept of it; after `requireIssuer()` in the same transaction.
 *
 * @throws {TollgateError} `conflict` (409) when it would be one live key too many
 */
export async function issueKey(
  connection: Connection,
  session: ClientSession,
  facts: Omit<ApiKeyIssue, 'prefix' | 'hash'>,
  _id = new Types.ObjectId(),
): Promise<ShownApiKey> {
  const { key, prefix, hash } = makeApiKey();
  const stored = await ApiKeys(connection).issue(_id, { ...facts, prefix, hash }, session);
  const live = await ApiKeys(connection).countLive(facts.user, most + 1, session);
  if (live > most) throw refuse('conflict', { detail: `There are ${most} live keys: delete one first` });
  return Object.freeze({ ...asApiKey(stored), key });
}
