import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { type Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { database } from '../../runtime/database.js';
import type { ProvidedIdentity } from './identity-of.js';

/** What Telegram's login widget gives to the page. */
export interface TelegramPayload {
  readonly id: number | string;
  /** Seconds since 1970. */
  readonly auth_date: number | string;
  readonly hash: string;
  readonly first_name?: string | undefined;
  readonly last_name?: string | undefined;
  readonly username?: string | undefined;
  readonly photo_url?: string | undefined;
}

/** Seconds that a payload is good for, and that its clock may be ahead of ours. */
const lifetime = 300;
const ahead = 30;

/**
 * Who a payload of Telegram's login widget is about. It is good once, for 5 minutes, and only as the bot signed it (HMAC-SHA-256
 * under the SHA-256 of the bot's token, over the sorted fields; core.telegram.org/widgets/login). Telegram tells no e-mail
 * address: a new account gets one that no mail ever reaches, for `.invalid` is reserved (RFC 2606).
 *
 * @throws {TollgateError} `credentials_invalid` (401)
 */
export async function identityOfTelegram(
  payload: TelegramPayload,
  botToken: string,
  connection: Connection,
): Promise<ProvidedIdentity> {
  const signature = Buffer.from(payload.hash, 'hex');
  const expected = signatureOf(payload, botToken);
  const genuine =
    signature.length === expected.length && timingSafeEqual(signature, expected) && isPlain(payload);
  const age = Date.now() / 1000 - Number(payload.auth_date);
  if (!genuine || age > lifetime || age < -ahead) throw refuse('credentials_invalid');
  const id = new Types.ObjectId(expected.subarray(0, 12));
  const fresh = await database(() => OneTimeTokens(connection).spend(id, 'telegram', lifetime + ahead));
  if (!fresh) throw refuse('credentials_invalid');
  const name = [payload.first_name, payload.last_name].filter(Boolean).join(' ').slice(0, 200) || null;
  const address = { email: `telegram-${payload.id}@telegram.invalid`, verified: false };
  const subject = String(payload.id);
  const identity = {
    provider: 'telegram',
    issuer: 'https://telegram.org',
    subject,
    email: null,
    name,
    address,
  };
  return { ...identity, provedAt: null }; // the widget knows who is signed in to Telegram
}

/** Where a field holds line feeds, what was signed can be read in two ways: then nobody knows what Telegram said. */
const isPlain = (payload: TelegramPayload): boolean =>
  Object.values(payload).every((value) => !/\p{Cc}/u.test(String(value ?? '')));

function signatureOf({ hash: _, ...fields }: TelegramPayload, botToken: string): Buffer {
  const lines = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .sort();
  const key = createHash('sha256').update(botToken).digest();
  return createHmac('sha256', key).update(lines.join('\n')).digest();
}
