import { createHash, createHmac } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { compare, type HashingClient, hash } from '../../runtime/hashing.js';

/** A password as stored: the hash, and what it takes to verify it. */
export interface PasswordHash {
  readonly scheme: string;
  /** Names the pepper that was mixed in; null: none. */
  readonly pepperId: string | null;
  readonly hash: string;
}

/** Mongoose's types know no default for a missing field. */
type Stored = Omit<PasswordHash, 'pepperId'> & { readonly pepperId?: string | null | undefined };

export interface PasswordOptions {
  /** Newest first. */
  readonly peppers: readonly string[];
  /** bcrypt's cost. */
  readonly passwordCost: number;
}

const scheme = 'bcrypt-hmac-sha256';

/** Of another application: bcrypt of the password itself. */
const imported = 'bcrypt';

/**
 * What bcrypt gets to see: 44 characters of base64, so that its limit of 72 bytes and its stop at a NUL cut nothing
 * off (OWASP Password Storage, "pre-hashing"). Unicode is normalized first (RFC 8265).
 */
const prepared = (password: string, pepper: string): string =>
  createHmac('sha256', pepper).update(password.normalize('NFC')).digest('base64');

/** What a stored hash says about the pepper that was mixed in. */
export const pepperIdOf = (pepper: string): string =>
  createHash('sha256').update(`pepper id ${pepper}`).digest('hex').slice(0, 12);

/** Hashes a password in the worker pool; throws `overloaded` (503) when too many wait before `client`. */
export async function hashPassword(
  password: string,
  { peppers, passwordCost }: PasswordOptions,
  client?: HashingClient,
): Promise<PasswordHash> {
  const [pepper] = peppers;
  const pepperId = pepper === undefined ? null : pepperIdOf(pepper);
  return { scheme, pepperId, hash: await hash(prepared(password, pepper ?? ''), passwordCost, client) };
}

/**
 * True when `password` is the one that was hashed; throws `overloaded` (503). Where there is no stored password, or an imported
 * or older hash, a wrong one takes just as long.
 */
export async function verifyPassword(
  password: string,
  stored: Stored | null | undefined,
  { peppers, passwordCost }: PasswordOptions,
  client?: HashingClient,
): Promise<boolean> {
  const { input, hashed } = comparable(password, stored, peppers) ?? nobodys(password, passwordCost);
  return compare(input, hashed, passwordCost, client);
}

/** What bcrypt saw when `stored` was made, and what came of it; undefined for an unknown scheme or pepper. */
function comparable(password: string, stored: Stored | null | undefined, peppers: readonly string[]) {
  const { scheme: by, pepperId, hash: hashed = '' } = stored ?? {};
  if (by === imported) return { input: password, hashed };
  const pepper = pepperId ? peppers.find((candidate) => pepperIdOf(candidate) === pepperId) : '';
  return by === scheme && pepper !== undefined ? { input: prepared(password, pepper), hashed } : undefined;
}

/** A well-formed hash that no password has, to compare with where there is none. */
const nobodys = (password: string, cost: number) => ({
  input: prepared(password, ''),
  hashed: `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`,
});

/** True when a stored hash should be replaced by one with today's scheme, pepper and cost. */
export function isOutdated(stored: Stored, { peppers, passwordCost }: PasswordOptions): boolean {
  const [pepper] = peppers;
  const pepperId = pepper === undefined ? null : pepperIdOf(pepper);
  if (stored.scheme !== scheme || (stored.pepperId ?? null) !== pepperId) return true;
  return bcrypt.getRounds(stored.hash) < passwordCost;
}
