import { createHash, createHmac } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { compare, hash } from '../../runtime/hashing.js';

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

/**
 * What bcrypt gets to see: 44 characters of base64, so that its limit of 72 bytes and its stop at a NUL cut nothing
 * off (OWASP Password Storage, "pre-hashing"). Unicode is normalized first (RFC 8265).
 */
const prepared = (password: string, pepper: string): string =>
  createHmac('sha256', pepper).update(password.normalize('NFC')).digest('base64');

const idOf = (pepper: string): string =>
  createHash('sha256').update(`pepper id ${pepper}`).digest('hex').slice(0, 12);

/** Hashes a password in the worker pool; throws `overloaded` (503) when that is full. */
export async function hashPassword(
  password: string,
  { peppers, passwordCost }: PasswordOptions,
): Promise<PasswordHash> {
  const [pepper] = peppers;
  const pepperId = pepper === undefined ? null : idOf(pepper);
  return { scheme, pepperId, hash: await hash(prepared(password, pepper ?? ''), passwordCost) };
}

/**
 * True when `password` is the one that was hashed; throws `overloaded` (503). Without a stored password it takes just as
 * long, and the answer is false.
 */
export async function verifyPassword(
  password: string,
  stored: Stored | null | undefined,
  { peppers, passwordCost }: PasswordOptions,
): Promise<boolean> {
  const pepper = stored?.pepperId ? peppers.find((candidate) => idOf(candidate) === stored.pepperId) : '';
  const verifiable = stored?.scheme === scheme && pepper !== undefined;
  const equal = await compare(
    prepared(password, pepper ?? ''),
    verifiable ? stored.hash : nobodys(passwordCost),
  );
  return equal && verifiable;
}

/** True when a stored hash should be replaced by one with today's pepper and cost. */
export function isOutdated(stored: Stored, { peppers, passwordCost }: PasswordOptions): boolean {
  const [pepper] = peppers;
  const pepperId = pepper === undefined ? null : idOf(pepper);
  return (stored.pepperId ?? null) !== pepperId || bcrypt.getRounds(stored.hash) < passwordCost;
}

/** A well-formed hash that no password has, to compare with where there is none. */
const nobodys = (cost: number): string => `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`;
